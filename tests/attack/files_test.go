//go:build attack

package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"wisp/tests/attack/row"
)

var counted = regexp.MustCompile(`(?m)^# (tests|pass) (\d+)$`)

// Pictures, workflows and texts of other tools, damaged from a seed, and bombs
// among them: what the page's readers make of them, by Node.
func TestDamagedPictures(t *testing.T) {
	rounds := 60
	if row.Whole() {
		rounds = 3000
	}
	cmd := exec.Command("node", "--test", "--test-reporter=tap", "../../site/compat/test/hostile.test.js")
	cmd.Env = append(os.Environ(), fmt.Sprint("SEED=", row.Seed()), fmt.Sprint("ROUNDS=", rounds))
	text, err := cmd.CombinedOutput()
	numbers := map[string]int{}
	for _, m := range counted.FindAllStringSubmatch(string(text), -1) {
		numbers[m[1]], _ = strconv.Atoi(m[2])
	}
	row.Row{Case: "pictures, texts and workflows, damaged and bombs", Tried: numbers["tests"], Held: numbers["pass"], Note: fmt.Sprintf("%d rounds each", rounds)}.Print()
	if err != nil || numbers["tests"] == 0 {
		t.Errorf("%v\n%s", err, text)
	}
}
