//go:build !js

// Command wisp serves and builds the web page, packs models for it, and draws
// pictures with the same engine on the command line:
//
//	go run . serve                           the page on http://localhost:8080
//	go run . build -out dist                 the page for any static host
//	go run . pack -in DIR -out DIR           a model from a diffusers directory
//	go run . verify DIR                      every chunk of a model against its hash
//	go run . generate -prompt "red heart"    a picture
//	go run . tune -model DIR -steps 4        the timesteps that suit a model best
//	go run . upscale -model FILE -in PNG -out PNG    a larger one
//
// The verbs are in site/command.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"wisp/site/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // what does not end for the first signal does for the second
	os.Exit(command.Run(ctx, os.Args[1:]))
}
