//go:build !js

// Package command has wisp's verbs, of which package main has the list: each
// reads its flags and calls one package. It is the only one beside wasm that
// knows the engine, the loader and the page. Start at [Run].
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
)

// verbs are the commands, in the order of the help.
var verbs = []struct {
	name, summary string
	run           func(ctx context.Context, f *flag.FlagSet, args []string) error
}{
	{"serve", "serve the page and its default model", serve},
	{"build", "write the page for any static host", build},
	{"pack", "turn a diffusers directory into a model for the page", packModel},
	{"verify", "check every chunk of a model, and that the engine can draw with it", verify},
	{"publish", "check a page or a model at its public address", checkPublished},
	{"generate", "draw a picture without a browser", generate},
	{"tune", "find the timesteps that suit a model best", tune},
	{"upscale", "enlarge a picture by an upscaler's network", upscale},
}

// Run runs the verb that args begin with and returns the exit status: 1 for a
// failure, 2 for a wrong call, 130, as shells have it, for an interruption.
func Run(ctx context.Context, args []string) int {
	for _, v := range verbs {
		if len(args) == 0 || v.name != args[0] {
			continue
		}
		err := v.run(ctx, flag.NewFlagSet("wisp "+v.name, flag.ExitOnError), args[1:])
		switch {
		case errors.Is(err, context.Canceled):
			fmt.Fprintf(os.Stderr, "wisp %s: interrupted\n", v.name)
			return 130
		case err != nil:
			fmt.Fprintf(os.Stderr, "wisp %s: %v\n", v.name, err)
			return 1
		}
		return 0
	}
	fmt.Fprintln(os.Stderr, "usage: go run . <command> [flags]")
	for _, v := range verbs {
		fmt.Fprintf(os.Stderr, "  %-9s %s\n", v.name, v.summary)
	}
	return 2
}

// parse reads the flags, after which so many arguments may follow.
func parse(f *flag.FlagSet, args []string, most int) error {
	f.Parse(args) // ends the program where it fails
	if f.NArg() > most {
		return fmt.Errorf("unexpected argument %q: put a value of several words in quotes", f.Arg(most))
	}
	return nil
}

// onTerminal reports whether somebody watches what is written to f.
func onTerminal(f *os.File) bool {
	s, err := f.Stat()
	return err == nil && s.Mode()&os.ModeCharDevice != 0
}
