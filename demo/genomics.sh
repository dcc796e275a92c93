# Quality control of a FASTQ file. demo/run says what each of these is.
# shellcheck shell=bash disable=SC2034,SC2154
default_size_mib=512
tools=$build/jobs/library/genomics
scene_rule=fastq-qc
reads=/usr/share/doc/bowtie2/examples/reads

scene_needs() {
	[ -r $reads/reads_1.fq.gz ] ||
		refuse "the reads of Debian's package bowtie2-examples are not in $reads; ./mill build installs it
      (an image that leaves documentation out, by path-exclude in /etc/dpkg/dpkg.cfg.d, leaves them out, too)"
}

scene_drop_words() { echo "a FASTQ file of $size_mib MiB (real reads, repeated) is moved into the bucket"; }

scene_make() {
	local bytes i
	zcat $reads/reads_1.fq.gz $reads/reads_2.fq.gz >"$dir/once"
	bytes=$(stat -c %s "$dir/once")
	for ((i = 0; i * bytes < $1 * 1048576; i++)); do cat "$dir/once"; done >"$dir/new"
	rm "$dir/once"
	echo reads.fastq
}

scene_result() {
	shardmill output last | fastq-qc --merge | sed '/^Reads by mean quality/,$d; s/^./   &/'
	echo "   … and more: shardmill output last | fastq-qc --merge"
}
