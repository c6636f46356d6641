//go:build browser

package browser_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"wisp/site"
	"wisp/tests/attack/row"
)

// made is a picture in the form of a program, what it was made with, and what of
// that wisp is without.
type made struct {
	Form string
	File string // in base64
	Want struct {
		Prompt, NegativePrompt     string
		Seed, Steps, Width, Height int
		Guidance                   float64
	}
	Lost []string
}

// corpus is ten pictures of each form, by Node; small ones, of a step.
func corpus(t *testing.T) (all []made) {
	t.Helper()
	root, err := site.Root()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.ToSlash(filepath.Join(root, "site", "compat", "test"))
	run := exec.Command("node", "--input-type=module", "--eval", fmt.Sprintf(`
		import { forms } from %q;
		import { random } from %q;
		const all = [];
		for (const [name, form] of Object.entries(forms)) for (let i = 0; i < 10; i++) {
			const next = random(20260101 + i);
			const small = (n) => { const value = next(n); return n === 50 ? 0 : n === 16 ? 1 : value; };
			const { bytes, want, lost } = form(small, i);
			all.push({ form: name, file: Buffer.from(bytes).toString("base64"), want, lost });
		}
		process.stdout.write(JSON.stringify(all));
	`, folder+"/corpus.js", folder+"/files.js"))
	text, err := run.Output()
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil || len(all) < 100 {
		t.Fatalf("%d pictures: %v", len(all), err)
	}
	return all
}

// Ten pictures of each program's form, dropped on the page: the form has what is
// in them, the page says what it is without, and the picture that it draws says
// the same when it is read again.
func TestOtherToolsPictures(t *testing.T) {
	t.Parallel()
	s, p := serve(t), newTab(t)
	p.open(s.URL)
	p.run(chromedp.Evaluate[chromedp.Void](`globalThis.dropOne = async (bytes, name) => {
		const before = Number(document.documentElement.dataset.pictures ?? 0);
		const transfer = new DataTransfer();
		transfer.items.add(new File([bytes], name));
		document.getElementById("notice").textContent = "";
		dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
		const error = document.getElementById("error");
		for (const end = Date.now() + 30000; Number(document.documentElement.dataset.pictures ?? 0) === before || document.getElementById("go").textContent !== "Generate"; await new Promise((r) => setTimeout(r, 5))) {
			if (!error.hidden) throw new Error(error.textContent);
			if (Date.now() > end) throw new Error("not drawn");
		}
		const value = (id) => document.getElementById(id).value;
		const { readPicture } = await import("/compat.js");
		const image = document.querySelector("#pictures img");
		const { settings } = await readPicture(new Uint8Array(await (await fetch(image.src)).arrayBuffer()));
		const numbers = (o) => [o.seed, o.steps, o.width, o.height, o.guidance].map(Number).join();
		return {
			form: numbers(Object.fromEntries(["seed", "steps", "width", "height", "guidance"].map((id) => [id, value(id)]))), read: numbers(settings),
			words: [value("prompt"), value("negative")], readWords: [settings.prompt, settings.negativePrompt], notice: document.getElementById("notice").textContent,
		};
	}`))
	held := 0
	forms := map[string]int{}
	for i, m := range corpus(t) {
		type answer struct {
			Form, Read, Notice string
			Words, ReadWords   []string
		}
		name := fmt.Sprintf("picture-%d.png", i)
		got, err := chromedp.Run(p.ctx, chromedp.Evaluate[answer](fmt.Sprintf(`dropOne(Uint8Array.from(atob(%q), (c) => c.charCodeAt(0)), %q)`, m.File, name), chromedp.EvalAwaitPromise))
		forms[m.Form]++
		where := fmt.Sprintf("%s, picture %d", m.Form, forms[m.Form])
		if err != nil && strings.Contains(err.Error(), `The schedule "ays" does not go with`) {
			held++ // refused by its name, as the default model cannot have it
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		w := m.Want
		want, words := fmt.Sprint(w.Seed, w.Steps, w.Width, w.Height, w.Guidance), []string{w.Prompt, w.NegativePrompt}
		want = strings.ReplaceAll(want, " ", ",")
		if got.Form != want || !slices.Equal(got.Words, words) {
			t.Errorf("%s: the form has %s, %q, want %s, %q", where, got.Form, got.Words, want, words)
		} else if words[0] = strings.ReplaceAll(words[0], "😀", "grinning face"); got.Read != want || !slices.Equal(got.ReadWords, words) { // which the default model reads
			t.Errorf("%s: the picture drawn from it says %s, %q, want %s, %q", where, got.Read, got.ReadWords, want, words)
		} else if missing := untold(got.Notice, name, m.Lost); missing != "" {
			t.Errorf("%s: the page does not say %q: %q", where, missing, got.Notice)
		} else {
			held++
		}
	}
	row.Row{Case: "pictures of other tools, in and out", Tried: 10 * len(forms), Held: held}.Print()
}

// untold is what a notice about a file should say and does not. Of many it names
// the first; whether a sampler is among them is up to the model.
func untold(notice, name string, lost []string) string {
	if len(lost) > 0 && !strings.Contains(notice, name) {
		return name
	}
	for _, one := range lost {
		if strings.HasPrefix(one, "Sampler: ") || strings.HasPrefix(one, "Schedule type: ") {
			continue
		}
		if !strings.Contains(notice, one) && !strings.Contains(notice, " more") {
			return one
		}
	}
	return ""
}
