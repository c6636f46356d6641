package main

import (
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed page.html page.js worker.js
var assets embed.FS

// server hands the page, the test binary and the module's files to one
// browser and takes the output back. Every address begins with a random
// token, so that no other page on this machine can read them.
type server struct {
	url      string
	listener net.Listener
	exit     chan int
	root     string // of the module
}

func newServer(isolated bool, preludes, args []string) (*server, error) {
	env, err := goEnv("GOROOT", "GOMOD")
	if err != nil {
		return nil, err
	}
	s := &server{exit: make(chan int, 1)}
	if s.root, err = moduleRoot(env[1]); err != nil {
		return nil, err
	}
	config, err := s.config(preludes, args)
	if err != nil {
		return nil, err
	}
	prefix := "/" + rand.Text() + "/"
	mux := http.NewServeMux()
	mux.Handle(prefix, http.StripPrefix(prefix[:len(prefix)-1], http.FileServerFS(assets)))
	mux.HandleFunc(prefix+"wasm_exec.js", file(filepath.Join(env[0], "lib", "wasm", "wasm_exec.js")))
	mux.HandleFunc(prefix+"test.wasm", file(args[0]))
	mux.HandleFunc(prefix+"config", func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(config) })
	for i, p := range preludes {
		mux.HandleFunc(prefix+"prelude/"+strconv.Itoa(i)+".js", file(filepath.Join(s.root, p)))
	}
	mux.HandleFunc(prefix+"fs", s.files)
	mux.HandleFunc("POST "+prefix+"out/{fd}", output)
	mux.HandleFunc("POST "+prefix+"exit/{code}", s.exited)
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	s.url = "http://" + s.listener.Addr().String() + prefix + "page.html"
	go http.Serve(s.listener, headers(isolated, mux))
	return s, nil
}

func (s *server) close() { s.listener.Close() }

// config is what the worker starts the test with. The environment is cut to
// what tests read: Go allows 12 KiB for it and the arguments together.
func (s *server) config(preludes, args []string) (map[string]any, error) {
	wd, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	env := map[string]string{"PWD": wd, "TMPDIR": "/tmp", "HOME": "/tmp"}
	for _, e := range os.Environ() {
		k, v, _ := strings.Cut(e, "=")
		if strings.HasPrefix(k, "WISP_") || k == "GODEBUG" || k == "GOGC" || k == "GOMEMLIMIT" || k == "GOTRACEBACK" {
			env[k] = v
		}
	}
	return map[string]any{"args": append([]string{"test"}, args[1:]...), "env": env, "cwd": wd, "preludes": len(preludes)}, nil
}

func headers(isolated bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if isolated {
			w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
			w.Header().Set("Cross-Origin-Embedder-Policy", "require-corp")
			w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		}
		next.ServeHTTP(w, r)
	})
}

func file(path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(path, ".js") {
			w.Header().Set("Content-Type", "application/wasm")
		}
		http.ServeFile(w, r, path)
	}
}

// files answers the worker's file system calls inside the module: a file's
// bytes, or a directory's names. X-Mode carries a Unix mode.
func (s *server) files(w http.ResponseWriter, r *http.Request) {
	path := filepath.Clean(r.FormValue("path"))
	if path != s.root && !strings.HasPrefix(path, s.root+string(filepath.Separator)) {
		http.Error(w, "ENOENT", http.StatusNotFound)
		return
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		http.Error(w, "ENOENT", http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case info.IsDir():
		w.Header().Set("X-Mode", strconv.Itoa(0o040555))
		entries, _ := os.ReadDir(path)
		names := []string{}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		json.NewEncoder(w).Encode(names)
	default:
		w.Header().Set("X-Mode", strconv.Itoa(0o100444))
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("X-Size", strconv.FormatInt(info.Size(), 10))
		if r.Method != http.MethodHead {
			f, err := os.ReadFile(path)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Write(f)
		}
	}
}

// output copies what the test printed.
func output(w http.ResponseWriter, r *http.Request) {
	to := os.Stdout
	if r.PathValue("fd") == "2" {
		to = os.Stderr
	}
	io.Copy(to, r.Body)
	w.WriteHeader(http.StatusNoContent)
}

// exited ends the run.
func (s *server) exited(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(r.PathValue("code"))
	if err != nil {
		code = 1
		fmt.Fprintln(os.Stderr, "browser run: bad exit code", r.PathValue("code"))
	}
	w.WriteHeader(http.StatusNoContent)
	select {
	case s.exit <- code:
	default: // a second report of the same end
	}
}
