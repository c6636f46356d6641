//go:build !js

package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"time"

	"wisp/site/publish"
)

// checkPublished says what the host of a page or a model should change.
func checkPublished(ctx context.Context, f *flag.FlagSet, args []string) error {
	f.Usage = func() {
		fmt.Fprintln(f.Output(), "usage: wisp publish https://your.host/wisp/\nThe address is that of the directory with the page, or of a model's.")
	}
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return errors.New("give the address where the page or the model is, such as https://your.host/wisp/")
	}
	r, err := publish.Check(ctx, &http.Client{Timeout: 10 * time.Minute}, f.Arg(0))
	if err != nil {
		return err
	}
	fmt.Printf("%d files of the page and %d chunks of models are as they were made, %.1f MB\n", r.Files, r.Chunks, float64(r.Bytes)/1e6)
	for _, line := range r.Better {
		fmt.Println("better  " + line)
	}
	for _, line := range r.Must {
		fmt.Println("must    " + line)
	}
	if len(r.Must) > 0 {
		return fmt.Errorf("%d things must change", len(r.Must))
	}
	return nil
}
