//go:build !js

package command

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"wisp/site"
)

// checkout compiles the engine of the checkout around the working directory
// and returns its files and its models.
func checkout(ctx context.Context) (page, models fs.FS, err error) {
	root, err := site.Root()
	if err != nil {
		return nil, nil, err
	}
	built := filepath.Join(root, "build", "site")
	fmt.Fprintln(os.Stderr, "wisp: compiling the engine and the importer; the first time takes a minute or two")
	if err := site.Compile(ctx, root, built); err != nil {
		return nil, nil, err
	}
	dir := filepath.Join(root, "site", "models")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, err
	}
	m, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	return site.Layers{site.Files(), os.DirFS(built)}, m.FS(), nil
}

// serve listens until it is interrupted and then lets answers finish.
func serve(ctx context.Context, f *flag.FlagSet, args []string) error {
	addr := f.String("addr", ":8080", "listen address")
	dir := f.String("dir", "", "serve this directory, made by build, instead of the checkout")
	model := f.String("model", "", "a model directory to serve as the default model")
	cert := f.String("cert", "", "certificate (PEM): HTTPS and HTTP/2")
	key := f.String("key", "", "the certificate's private key (PEM)")
	hubToo := f.Bool("hub", true, "let pages fetch models that a visitor asks for from the Hugging Face hub")
	log := f.String("log", "", "append a line for each answer to this file; - is the terminal")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if !*hubToo {
		site.WithoutHub()
	}
	files, err := pageFiles(ctx, *dir, *model)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	o := site.ServeOptions{Cert: *cert, Key: *key}
	switch *log {
	case "":
	case "-":
		o.Log = os.Stdout
	default:
		file, err := os.OpenFile(*log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return err
		}
		defer file.Close()
		o.Log = file
	}
	scheme := "http"
	if *cert != "" {
		scheme = "https"
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	fmt.Printf("wisp: %s://localhost:%s/ (ctrl-C stops it)\n", scheme, port)
	return site.Serve(ctx, listener, site.Handler(files), o)
}

// pageFiles is what serve hands out.
func pageFiles(ctx context.Context, dir, model string) (fs.FS, error) {
	layers := site.Layers{}
	if model != "" {
		m, err := os.OpenRoot(model)
		if err != nil {
			return nil, err
		}
		layers = append(layers, site.Under("models/default", m.FS()))
	}
	if dir != "" {
		d, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		return append(layers, d.FS()), nil
	}
	page, models, err := checkout(ctx)
	if err != nil {
		return nil, err
	}
	if page, err = site.Assemble(page); err != nil {
		return nil, err
	}
	return append(layers, page, site.Under("models", models)), nil
}

func build(ctx context.Context, f *flag.FlagSet, args []string) error {
	o := site.BuildOptions{Log: os.Stdout}
	f.StringVar(&o.Out, "out", "dist", "directory to write")
	f.IntVar(&o.Brotli, "brotli", 11, "level of the .br twins, 0 to 11; 9 makes the engine an eighth larger and saves half a minute")
	hubToo := f.Bool("hub", true, "name the hosts of the Hugging Face hub in the pages' policy")
	npm := f.String("npm", "", "a directory for the npm package")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if !*hubToo {
		site.WithoutHub()
	}
	page, models, err := checkout(ctx)
	if err != nil {
		return err
	}
	if err := site.Build(page, models, o); err != nil || *npm == "" {
		return err
	}
	return site.Package(page, models, *npm)
}
