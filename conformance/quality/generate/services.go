package main

// services are the programs that the facts tell of; several share a word.
var services = []string{
	"billing-api", "billing-cron", "billing-ui", "ledger-sync", "ledger-api", "geo-tiles", "geo-search", "pdf-render", "mail-relay", "mail-parser", "auth-gate",
	"auth-audit", "cart-api", "cart-worker", "stock-feed", "stock-sync", "image-proxy", "image-resize", "search-index", "search-suggest", "report-cron", "report-ui",
}

// clusters hold the data of services.
var clusters = []string{"heron", "plover", "curlew", "avocet", "dunlin", "teal"}

var clusterTraits = []trait{
	{"engine", nil, "", "", []saying{{"{x} is a {Postgres 16|MariaDB|CockroachDB|Cassandra|Scylla|Mongo} cluster", ""}}},
	{"city", nil, "", "", []saying{{"The nodes of {x} stand in the {Oslo|Madrid|Turin|Gdansk|Bristol|Zagreb} data centre", ""}}},
	{"room", []string{"How much capacity is left on {x}?"}, "", "", []saying{{"{x} has {two|five|nine} free terabytes", ""}}},
	{"watch", []string{"Who administers {x}?"}, "", "", []saying{{"{p} watches over {x}", ""}}},
}

var serviceTraits = []trait{
	{"language", []string{"What programming language is {x} implemented in?"}, "", "Are {x} and {y} implemented in the same programming language?", []saying{
		{"{x} is written in {Kotlin|Elixir|Rust|OCaml|Go}", ""},
		{"All of {x} is {Scala|Clojure|Zig} by now", ""},
		{"Nobody but the founders still reads the {Perl|Tcl|Erlang} of {x}", ""},
	}},
	{"port", []string{"Where does {x} accept connections?"}, "", "", []saying{
		{"{x} listens on port {7443|7001|7090|7555}", ""},
		{"Point clients of {x} at :{9200|9310|9088}", ""},
		{"{x} binds to {8085|8181|8123}", ""},
	}},
	{"release", []string{"When are new versions of {x} rolled out?"}, "", "", []saying{
		{"{x} ships only on {Tuesdays|Wednesdays|the first Monday of a month}", ""},
		{"No deployment of {x} after {noon on Thursday|Friday morning}", ""},
		{"{x} goes live with every merge", ""},
	}},
	{"retention", []string{"For how long does {x} preserve what it was sent?"}, "", "", []saying{
		{"{x} throws raw events away after {14|30|90} days", ""},
		{"{x} never deletes anything", ""},
		{"{x} holds a rolling window of {six|eighteen} months", ""},
	}},
	{"flaky", []string{"What is unreliable in the continuous integration of {x}?"}, "", "", []saying{
		{"The retry test of {x} fails about once in twenty runs", ""},
		{"The clock-skew check of {x} is red every other Monday", ""},
		{"{x} has an end-to-end suite that times out on slow machines", ""},
	}},
	{"auth", []string{"How do callers prove to {x} who they are?"}, "", "", []saying{
		{"{x} trusts tokens signed by the gate", ""},
		{"{x} demands a client certificate", ""},
		{"{x} still takes basic credentials from inside the network", ""},
	}},
	{"cache", []string{"How stale may an answer of {x} be?"}, "", "", []saying{
		{"{x} replies from memory for {ninety seconds|five minutes} before it looks upstream", ""},
		{"{x} caches lookups for {an hour|a day}", ""},
		{"Nothing in {x} is cached", ""},
	}},
	{"limit", []string{"How heavily can I hit {x} before getting throttled?"}, "", "Which of {x} and {y} takes more traffic before getting throttled?", []saying{
		{"{x} turns clients away beyond {200|50|1,000} calls a minute", ""},
		{"{x} slows everyone down past {30|80} requests a second", ""},
		{"{x} has no quota at all", ""},
	}},
	{"debt", []string{"What technical debt sits in {x}?"}, "", "", []saying{
		{"{x} still carries the tables of the old shop", ""},
		{"{x} is half moved off the mainframe", ""},
		{"A dead module for faxing lingers in {x}", ""},
	}},
	{"host", []string{"On which soil is {x} hosted?"}, "", "", []saying{
		{"{x} runs in {Frankfurt|Dublin|Reykjavik|Osaka}", ""},
		{"The machines of {x} stand in {Sofia|Marseille|Lima}", ""},
		{"{x} is deployed to two zones in {Montreal|Sydney}", ""},
	}},
	{"build", []string{"What does it take to compile {x}?"}, "", "", []saying{
		{"Building {x} needs {Bazel 7|Nix|a JDK 21}", ""},
		{"{x} can only be built on Linux", ""},
		{"make all in {x} is done after eleven minutes", ""},
	}},
	{"logs", []string{"Where does the telemetry of {x} go?"}, "", "", []saying{
		{"{x} writes its traces to {Tempo|Jaeger}", ""},
		{"The logs of {x} end up in {Loki|a bucket}", ""},
		{"Metrics of {x} have the prefix {acme|nova|orbit}", ""},
	}},
	{"flag", []string{"Which toggle reveals the unreleased part of {x}?"}, "", "", []saying{
		{"FLAG_{SWAN|OTTER|LYNX} turns on the beta of {x}", ""},
		{"Set {PREVIEW|NEXT|LAB}=1 for the coming {x}", ""},
	}},
	{"cost", []string{"How expensive is it to operate {x}?"}, "", "Which is cheaper to operate, {x} or {y}?", []saying{
		{"{x} costs us {2,300|900|140} euros a month", ""},
		{"The bill for {x} doubled to {410|1,700} in spring", ""},
	}},
	{"backup", []string{"How much would be lost if the disk of {x} died?"}, "", "", []saying{
		{"{x} is copied to cold storage every night at {three|one}", ""},
		{"Snapshots of {x} are taken {hourly|weekly}", ""},
		{"Nobody has ever restored a backup of {x}", ""},
	}},
	{"outage", []string{"What caused the outage of {x}?"}, "", "", []saying{
		{"{x} went down for {two hours|a morning} when a certificate expired", ""},
		{"{x} stalled over Easter with a full queue", ""},
		{"A typo in DNS took {x} offline", ""},
	}},
	{"memory", []string{"How much RAM can {x} consume?"}, "", "", []saying{
		{"{x} is killed above {2|4|6} GiB", ""},
		{"{x} leaks about {10|40} MB an hour", ""},
	}},
	{"docs", []string{"Where are the operating instructions for {x}?"}, "", "", []saying{
		{"The runbook of {x} lies in the wiki under Night Watch", ""},
		{"{x} is explained in a video that {p} made", ""},
	}},
}

var (
	owns   = []string{"Ask {p} before touching {x}", "{p} answers for {x}", "{p} carries the pager for {x}"}
	stores = []string{"{x} keeps its rows in {c}", "The tables of {x} live in {c}", "{x} writes to the {c} cluster"}
)
