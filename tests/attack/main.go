// Command attack runs the whole suite that attacks wisp, or a smaller part, and
// prints a row a case:
//
//	go run ./tests/attack [-json] [-small] [-only NAME]
//
// It runs the tests of this package and those of the packages faults, browser
// and loader that do what strangers and accidents do; those that print no row of
// their own are one by their outcome: how many of a test's cases passed. It asks
// addresses of this machine only.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"wisp/tests/attack/row"
)

// step is a run of tests. Each test makes a row, called by its name here.
type step struct {
	pkg   string
	tags  string
	small bool // of the smaller part, too
	tests []named
}

// named is a test and what it does to wisp.
type named struct{ test, does string }

var steps = []step{
	{"./tests/attack", "attack", true, []named{{"TestOddRequests", ""}, {"TestHeldConnections", ""}, {"TestFloods", ""}, {"TestHTTP2", ""}, {"TestDamagedPictures", ""}}},
	{"./tests", "", true, []named{
		{"TestReadersAreLinear", ""}, {"TestHostileFiles", ""}, {"TestFlippedBits", ""},
	}},
	{"./loader", "", true, []named{{"TestChaos", "1,000 lives of a loader among faults"}, {"TestKilledImport", "imports that were killed"}, {"TestHostileManifests", "manifests that lie"}}},
	{"./loader/hub", "", false, []named{{"TestHostileAnswers", "answers of a hostile hub"}, {"TestDownload", "downloads among faults"}}},
	{"./loader/pack", "", false, []named{{"TestTwoAtOnce", "two packing into one directory"}, {"TestResumeChanged", "files changed under the packer"}}},
	{"./tests/faults", "browser", false, []named{
		{"TestConnection", "connections that break, at every chunk"}, {"TestForEver", "servers that fail for ever"}, {"TestKill", "kill -9 of the browser while it loads"},
		{"TestQuota", "quotas in steps"}, {"TestDatabase", "databases deleted under the page"}, {"TestVersion", "databases raised under the page"},
		{"TestLaid", "files of the private file system damaged"}, {"TestManifest", "manifests cut, replaced, missing"}, {"TestAnswerNotEnded", "answers that do not end"},
		{"TestStoppedTab", "a tab that was stopped with locks and transactions"}, {"TestTabs", "two and five tabs at once"},
	}},
	{"./tests/browser", "browser", false, []named{
		{"TestEverythingFailsOnce", "first visits on which every file fails once"}, {"TestNetworkDoesNotAnswer", "a silent network, all kept"},
		{"TestOwnFilesFail", "the engine's files fail in each way"}, {"TestOwnFilesAreGone", "the engine's files are gone"}, {"TestPageArrives", "the page's files fail in each way"},
		{"TestEngineDies", "the engine dies and stands still"}, {"TestOutOfMemory", "memory that ends"}, {"TestCardDoesNotAnswer", "graphics cards that hang or are gone"},
		{"TestUpdateOnFirstVisit", "updates on a first visit"}, {"TestUpdate", "half an update, an update in mid-picture"}, {"TestHostChangesMeanwhile", "a host that changes between two files"},
		{"TestKilled", "kill -9 while pictures and models go, in updates"}, {"TestClocks", "clocks wrong by years, and that jump"},
		{"TestHistoryComesBack", "the history's database deleted, raised, full, held"}, {"TestCacheIsMended", "what the cache lost"},
		{"TestRequestsFromOtherSites", "forms, frames and requests of other sites"}, {"TestHostileEmbedder", "messages of a hostile embedder"}, {"TestFraming", "the page in a frame"}, {"TestAllowedOrigins", "links that would change the policy"},
		{"TestPrograms", "storms of programs' requests"}, {"TestLiveTyping", "storms of keystrokes"}, {"TestCancelAtEachStage", "cancelling at each stage"}, {"TestTwoTabs", "two tabs on a first visit"},
		{"TestTwentyWidgets", ""}, {"TestOtherToolsPictures", ""}, {"TestPictures", "the same picture in each browser, with and without threads and relaxed SIMD"}, {"TestWebGPUPage", "a card that is lost in mid-picture, and its picture in dB"},
	}},
}

func main() {
	asJSON := flag.Bool("json", false, "print an object a line")
	small := flag.Bool("small", false, "the part that make test runs: three minutes at most")
	only := flag.String("only", "", "run only the tests whose names hold this")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	seed := fmt.Sprint(row.Seed())
	os.Setenv("WISP_SEED", seed)
	if !*small {
		os.Setenv("WISP_ATTACK", "whole")
		os.Setenv("WISP_SEEDS", "1-20")
	}
	fmt.Fprintln(os.Stderr, "seed", seed)
	if !*asJSON {
		fmt.Println(row.Head())
	}
	fell, began := 0, time.Now()
	for _, s := range steps {
		if *small && !s.small {
			continue
		}
		fell += s.run(ctx, *only, func(r row.Row) {
			if !*asJSON {
				fmt.Println(r)
			} else if line, err := json.Marshal(r); err == nil {
				fmt.Println(string(line))
			}
		})
	}
	fmt.Fprintf(os.Stderr, "%d fell short; %.0f s\n", fell, time.Since(began).Seconds())
	if fell > 0 || ctx.Err() != nil {
		os.Exit(1)
	}
}

// event is a line of go test -json.
type event struct {
	Action, Test, Output string
}

// outcome is what is known of a test.
type outcome struct {
	cases, passed int
	rows          int
	output        strings.Builder
}

// run runs the tests of a step one after the other in one process, hands out
// their rows and returns how many tests failed.
func (s step) run(ctx context.Context, only string, print func(row.Row)) (fell int) {
	does, names := map[string]string{}, []string{}
	for _, n := range s.tests {
		if strings.Contains(n.test, only) {
			does[n.test] = n.does
			names = append(names, n.test)
		}
	}
	if len(names) == 0 {
		return 0
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-timeout", "60m", "-tags", s.tags, "-run", "^("+strings.Join(names, "|")+")$", s.pkg)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, s.pkg, err)
		return len(names)
	}
	outcomes := map[string]*outcome{}
	missing := len(names)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Test == "" {
			continue
		}
		test, part, _ := strings.Cut(e.Test, "/")
		o := outcomes[test]
		if o == nil {
			o = &outcome{}
			outcomes[test] = o
		}
		switch r, isRow := row.Parse(e.Output); {
		case isRow:
			o.rows++
			print(r)
		case e.Action == "output":
			o.output.WriteString(e.Output)
		case e.Action != "pass" && e.Action != "fail":
		case part != "":
			o.cases++
			if e.Action == "pass" {
				o.passed++
			}
		default:
			missing--
			if e.Action == "fail" {
				fell++
				fmt.Fprintf(os.Stderr, "%s of %s failed:\n%s", test, s.pkg, o.output.String())
			}
			if o.rows == 0 {
				print(o.row(does[test], e.Action == "pass"))
			}
		}
	}
	cmd.Wait() // what failed is counted
	return fell + missing
}

// row is that of a test which prints none: its cases, or itself as one.
func (o *outcome) row(does string, passed bool) row.Row {
	r := row.Row{Case: does, Tried: max(o.cases, 1), Held: o.passed}
	if o.cases == 0 && passed {
		r.Held = 1
	}
	return r
}
