# Value at risk of a portfolio. demo/run says what each of these is.
# shellcheck shell=bash disable=SC2034,SC2154
default_size_mib=10
tools=$build/jobs/library/finance
scene_rule=finance-var

scene_needs() {
	command -v Rscript >/dev/null && Rscript -e 'find.package("fBasics")' >/dev/null 2>&1 ||
		refuse "the prices of Debian's package r-cran-fbasics are not there; ./mill build installs it"
}

scene_drop_words() { echo "positions in the thirty stocks of the Dow Jones of 2001 are moved into the bucket, beside their prices"; }

rule_version() {
	shardmill rules --output json |
		python3 -c 'import json, sys; print([r["definition"] for r in json.load(sys.stdin)["rules"] if r["name"] == "finance-var"])'
}
is_new_version() { [ "$(rule_version)" != "$1" ]; }

# A MiB is a million scenarios.
scene_make() {
	local rule=$dir/state/rules/finance-var.yaml version
	if [ "$1" != $default_size_mib ]; then
		version=$(rule_version)
		sed "s/\"10000000\"/\"${1}000000\"/; s/count: 10000000}/count: ${1}000000}/" "$rule" >"$dir/rule"
		mv "$dir/rule" "$rule"
		until_true is_new_version "$version"
	fi
	Rscript "$house/jobs/library/finance/dow-prices.R" >"$dir/prices"
	mv "$dir/prices" "$dir/state/bucket/prices.csv"
	awk -F, 'NR == 1 { print "asset,quantity"; for (n = 2; n <= NF; n++) print $n "," 100 * n; exit }' \
		"$dir/state/bucket/prices.csv" >"$dir/new"
	echo close.positions.csv
}

scene_result() {
	shardmill output last | finance-var --merge | sed 's/^./   &/'
	echo "   … and for programs: shardmill output last"
}
