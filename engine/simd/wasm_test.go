//go:build !js

package simd

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
)

// TestStatements runs small functions written with each control statement.
func TestStatements(t *testing.T) {
	m := &module{}
	one := func(name string, body func(f *fn, x, y i32v)) {
		f := m.newFunc([]valType{i32}, i32)
		y := f.let(num(0))
		body(f, f.param(0), y)
		f.emit(y.code)
		m.export(name, f)
	}
	one("sum", func(f *fn, x, y i32v) { f.each(num(0), x, func(i i32v) { f.set(y, y.add(i)) }) })
	one("choice", func(f *fn, x, y i32v) {
		f.choice(x, func() { f.set(y, num(10)) }, func() { f.set(y, num(-200000)) }, func() { f.set(y, num(30)) })
	})
	one("branch", func(f *fn, x, y i32v) {
		f.ifElse(x.lt(num(5)), func() { f.set(y, num(1)) }, func() { f.set(y, num(2)) })
		f.when(x.eq(num(7)), func() { f.set(y, y.plus(100)) })
	})
	one("collatz", func(f *fn, x, y i32v) {
		f.while(x.ne(num(1)), func() {
			f.set(x, pick(x.and(num(1)), x.times(3).plus(1), x.shr(1)))
			f.set(y, y.plus(1))
		})
	})
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	if _, err := r.InstantiateWithConfig(ctx, memoryModule(false), wazero.NewModuleConfig().WithName("env")); err != nil {
		t.Fatal(err)
	}
	instance, err := r.Instantiate(ctx, m.bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		x, y int32
	}{
		{"sum", 0, 0}, {"sum", -3, 0}, {"sum", 101, 5050},
		{"choice", 0, 10}, {"choice", 1, -200000}, {"choice", 2, 30}, {"choice", 3, 0}, {"choice", -1, 0},
		{"branch", 4, 1}, {"branch", 5, 2}, {"branch", 7, 102},
		{"collatz", 1, 0}, {"collatz", 27, 111},
	} {
		got, err := instance.ExportedFunction(c.name).Call(ctx, uint64(uint32(c.x)))
		if err != nil || int32(got[0]) != c.y {
			t.Errorf("%s(%d) = %v, %v; want %d", c.name, c.x, got, err, c.y)
		}
	}
}

// TestLEB checks the variable-length integers at their boundaries.
func TestLEB(t *testing.T) {
	for _, c := range []struct {
		n    int64
		want string
	}{{0, "\x00"}, {63, "\x3f"}, {64, "\xc0\x00"}, {-1, "\x7f"}, {-64, "\x40"}, {-65, "\xbf\x7f"}, {1 << 31, "\x80\x80\x80\x80\x08"}} {
		if got := string(sleb(nil, c.n)); got != c.want {
			t.Errorf("sleb(%d) = %x, want %x", c.n, got, c.want)
		}
	}
	for _, c := range []struct {
		n    uint64
		want string
	}{{0, "\x00"}, {127, "\x7f"}, {128, "\x80\x01"}, {65536, "\x80\x80\x04"}} {
		if got := string(uleb(nil, c.n)); got != c.want {
			t.Errorf("uleb(%d) = %x, want %x", c.n, got, c.want)
		}
	}
}

// TestDeterministic: the same flavour must always give the same bytes, so that
// native code can be cached.
func TestDeterministic(t *testing.T) {
	for _, fl := range []flavour{relaxedTile, baselineTile, wazeroTile} {
		if string(emitModule(fl)) != string(emitModule(fl)) {
			t.Errorf("%+v: two modules differ", fl)
		}
	}
	t.Logf("relaxed module: %d bytes", len(emitModule(relaxedTile)))
}
