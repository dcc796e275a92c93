# A ladder of renditions of a video. demo/run says what each of these is.
# shellcheck shell=bash disable=SC2034,SC2154
default_size_mib=12
tools=$build/jobs/library/media
scene_rule=media-ladder
speech=/usr/share/sounds/alsa/Front_Center.wav

scene_needs() {
	command -v ffmpeg >/dev/null || refuse "there is no ffmpeg; ./mill build installs it"
	[ -x "$tools/media-ladder" ] || refuse "media-ladder is not built: ffmpeg's libraries are missing; ./mill build installs them"
	[ -r $speech ] || refuse "the speech of Debian's package alsa-utils is not there ($speech); ./mill build installs it"
}

scene_drop_words() { echo "a video of $size_mib s (1280x720, a test pattern with real speech) is moved into the bucket"; }

# A MiB is a second.
scene_make() {
	ffmpeg -nostdin -loglevel error -f lavfi -i "testsrc2=size=1280x720:rate=25:duration=$1,noise=alls=8:allf=t:all_seed=1" \
		-stream_loop -1 -i $speech -t "$1" -c:v libx264 -preset ultrafast -b:v 8M -g 50 -pix_fmt yuv420p \
		-c:a aac -f mp4 "$dir/new" >&2
	echo master.mp4
}

scene_result() {
	mkdir "$dir/result"
	shardmill output last | tar -x -C "$dir/result"
	for f in "$dir"/result/*.mp4; do
		printf '   %-9s %s\n' "$(basename "$f")" "$(ffprobe -v error -count_packets -show_entries \
			stream=codec_name,height,nb_read_packets,duration -of compact=p=0:nk=0 "$f" | paste -sd' ')"
	done
}
