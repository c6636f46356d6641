package site

import (
	"embed"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

//go:embed npm/*
var manifest embed.FS

// packaged lists the page's files that the npm package has, too.
var packaged = []string{"wisp.js", "wisp.d.ts", "widget.js", "widget.d.ts", "png.js", "strings.js", "de.js", "zh.js", "worker.js", engine, packer}

// Package writes the directory that npm pack makes the package of: the module,
// the widget, their types, the engine, the models and the licences. Names carry no hashes:
// bundlers give their own.
func Package(files fs.FS, models fs.FS, out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	own, err := fs.Sub(manifest, "npm")
	if err != nil {
		return err
	}
	if err := copyTree(own, out, -1); err != nil {
		return err
	}
	for _, name := range slices.Concat(packaged, glue, slices.Collect(maps.Keys(notices))) {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, name), data, 0o644); err != nil {
			return err
		}
	}
	return copyTree(models, filepath.Join(out, "models"), -1)
}
