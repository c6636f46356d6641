package site

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// public lists the scripts that others ask for by name: other sites, and the
// browser when it looks for a newer service worker. They keep their names.
var public = []string{"wisp.js", "widget.js", worker}

// mention matches a file that a script, page or style names.
var mention = regexp.MustCompile(`(["'])(\./)?([\w.-]+)["']`)

// rename returns the page's files, with a hash of the content in the name of
// every script, style and program that is not public, and in every mention of
// it. A file's hash depends on those it names, so that a name stands for
// everything behind it.
func rename(files fs.FS) (memory, error) {
	r := renamer{files: files, names: slices.Concat(names(), glue, []string{engine, packer}), to: map[string]string{}, page: memory{}}
	for _, name := range r.names {
		if _, err := r.resolve(name); err != nil {
			return nil, err
		}
	}
	return r.page, nil
}

type renamer struct {
	files fs.FS
	names []string
	to    map[string]string // new names; empty while a file is being renamed
	page  memory
}

// resolve renames a file after those that it mentions, and returns its name.
func (r *renamer) resolve(name string) (string, error) {
	if to, seen := r.to[name]; seen {
		if to == "" {
			return "", fmt.Errorf("site: %s and another file name each other: their names cannot hold hashes", name)
		}
		return to, nil
	}
	r.to[name] = ""
	data, err := r.read(name)
	if err != nil {
		return "", err
	}
	ext := path.Ext(name)
	if slices.Contains([]string{".js", ".css", ".html"}, ext) {
		data = mention.ReplaceAllFunc(data, func(m []byte) []byte {
			part := mention.FindSubmatch(m)
			other := string(part[3])
			if err != nil || other == name || !keyed(other) || !slices.Contains(r.names, other) {
				return m
			}
			var to string
			if to, err = r.resolve(other); err != nil {
				return m
			}
			return bytes.Replace(m, part[3], []byte(to), 1)
		})
		if err != nil {
			return "", err
		}
	}
	to := name
	if keyed(name) {
		sum := sha256.Sum256(data)
		to = strings.TrimSuffix(name, ext) + "-" + hex.EncodeToString(sum[:8]) + ext
	}
	r.to[name], r.page[to] = to, data
	return to, nil
}

// read returns a file; the starter names all parts of pages, which are renamed
// before it.
func (r *renamer) read(name string) ([]byte, error) {
	if name != starter {
		data, err := fs.ReadFile(r.files, name)
		if err != nil {
			return nil, fmt.Errorf("site: %w", err)
		}
		return data, nil
	}
	for _, part := range r.names {
		if slices.Contains([]string{".js", ".css"}, path.Ext(part)) && part != starter && part != worker {
			if _, err := r.resolve(part); err != nil {
				return nil, err
			}
		}
	}
	return assembleStarter(r.page, slices.Collect(maps.Keys(r.page)))
}

// keyed tells whether a file's name gets a hash.
func keyed(name string) bool {
	return slices.Contains([]string{".js", ".css", ".wasm"}, path.Ext(name)) && !slices.Contains(public, name)
}
