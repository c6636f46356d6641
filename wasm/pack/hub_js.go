package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/hack-pad/safejs"

	"wisp/loader"
	"wisp/loader/hub"
	"wisp/loader/pack"
	"wisp/wasm/bridge"
)

// repository is a model on the hub, as a page asks for it.
type repository struct {
	address  string
	endpoint string // of the hub, "" for Hugging Face's
	token    string
}

// readRepository reads {hub, endpoint, token}; ok is false where there is no hub.
func readRepository(v safejs.Value) (r repository, ok bool, err error) {
	f := bridge.Fields{Object: v}
	f.Text("hub", &r.address)
	f.Text("endpoint", &r.endpoint)
	f.Text("token", &r.token)
	return r, r.address != "", f.Err
}

// open looks the repository up, and names the model after it.
func (r repository) open(ctx context.Context) (s *hub.Stream, name string, err error) {
	s, err = hub.OpenStream(ctx, r.address, browser{}, hub.StreamOptions{Endpoint: r.endpoint, Token: r.token})
	if err != nil {
		return nil, "", wrong(err)
	}
	name, _, _ = strings.Cut(strings.TrimPrefix(r.address, hub.Scheme), "@")
	return s, path.Base(name), nil
}

// location is where the library has the model from: packed otherwise it is
// another.
func (r repository) location(quantise string) string {
	return r.address + "?quantise=" + quantise
}

// importHub packs a repository into the library while it streams in. What is
// interrupted is gone on with by the next call with the same address.
func importHub(ctx context.Context, r repository, o pack.Options, tell func(bridge.Object)) (any, error) {
	in, name, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	o.Name, o.Licence = cmp.Or(o.Name, name), in.Licence
	plan, err := makePlan(in, o)
	if err != nil {
		return nil, err
	}
	if err := checkRoom(ctx, plan.Packed[o.Quant]); err != nil {
		return nil, err
	}
	o.Needs = components
	o.OnProgress = func(done int64) {
		tell(bridge.Object{"stage": "pack", "loaded": done, "total": plan.Input})
	}
	library, err := loader.OpenLibrary(ctx, loader.Long)
	if err != nil {
		return nil, err
	}
	library.KeepModels = true
	draft, err := library.Resumable(ctx, r.location(o.Quant))
	if err != nil {
		return nil, err
	}
	_, err = plan.Resume(ctx, draft, draft, o)
	switch {
	case err == nil:
		return draft.ID(), nil
	case errors.Is(err, hub.ErrCorrupt):
		return nil, errors.Join(err, draft.Discard(context.WithoutCancel(ctx)))
	}
	draft.Leave()
	return nil, wrong(err)
}

// browser makes requests by fetch.
type browser struct{}

// Get makes one. A body that is announced as longer than the limit is not read.
func (browser) Get(ctx context.Context, url string, header map[string]string, limit int64) (hub.Reply, error) {
	abort, err := bridge.Must(safejs.Global().Get("AbortController")).New()
	if err != nil {
		return hub.Reply{}, err
	}
	stop := context.AfterFunc(ctx, func() { abort.Call("abort") })
	defer stop()
	fields := map[string]any{}
	for name, value := range header {
		fields[name] = value
	}
	promise, err := safejs.Global().Call("fetch", url, map[string]any{
		"headers": fields, "credentials": "omit", "referrerPolicy": "no-referrer", "cache": "no-store", "signal": bridge.Must(abort.Get("signal")),
	})
	if err != nil {
		return hub.Reply{}, err
	}
	answer, err := bridge.Await(ctx, promise)
	if err != nil {
		return hub.Reply{}, errors.Join(ctx.Err(), err)
	}
	headers := bridge.Must(answer.Get("headers"))
	reply := hub.Reply{Header: func(name string) string {
		v, err := headers.Call("get", name)
		if err != nil || v.Type() != safejs.TypeString {
			return ""
		}
		return bridge.Must(v.String())
	}}
	status, err := bridge.Must(answer.Get("status")).Int()
	if reply.Status = status; err != nil || status != 200 && status != 206 {
		abort.Call("abort")
		return reply, err
	}
	var announced int64
	if fmt.Sscan(reply.Header("Content-Length"), &announced); announced > limit && reply.Header("Content-Encoding") == "" {
		abort.Call("abort")
		return reply, fmt.Errorf("%d bytes come of the %d asked for", announced, limit)
	}
	reply.Body, err = body(ctx, answer)
	return reply, err
}

func body(ctx context.Context, answer safejs.Value) ([]byte, error) {
	promise, err := answer.Call("arrayBuffer")
	if err != nil {
		return nil, err
	}
	buffer, err := bridge.Await(ctx, promise)
	if err != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	array, err := bridge.Must(safejs.Global().Get("Uint8Array")).New(buffer)
	if err != nil {
		return nil, err
	}
	n, err := array.Length()
	if err != nil {
		return nil, err
	}
	data := make([]byte, n)
	_, err = safejs.CopyBytesToGo(data, array)
	return data, err
}
