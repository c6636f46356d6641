//go:build !js

package emit

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
)

// TestStatements runs small functions written with each control statement.
func TestStatements(t *testing.T) {
	m := &Module{}
	one := func(name string, body func(f *Func, x, y Int)) {
		f := m.NewFunc([]Type{I32}, I32)
		y := f.Let(Num(0))
		body(f, f.Param(0), y)
		f.Result(y)
		m.Export(name, f)
	}
	one("sum", func(f *Func, x, y Int) { f.Each(Num(0), x, func(i Int) { f.Set(y, y.Add(i)) }) })
	one("choice", func(f *Func, x, y Int) {
		f.Choice(x, func() { f.Set(y, Num(10)) }, func() { f.Set(y, Num(-200000)) }, func() { f.Set(y, Num(30)) })
	})
	one("branch", func(f *Func, x, y Int) {
		f.IfElse(x.Lt(Num(5)), func() { f.Set(y, Num(1)) }, func() { f.Set(y, Num(2)) })
		f.When(x.Eq(Num(7)), func() { f.Set(y, y.Plus(100)) })
	})
	one("collatz", func(f *Func, x, y Int) {
		f.While(x.Ne(Num(1)), func() {
			f.Set(x, Pick(x.And(Num(1)), x.Times(3).Plus(1), x.Shr(1)))
			f.Set(y, y.Plus(1))
		})
	})
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	if _, err := r.InstantiateWithConfig(ctx, MemoryModule(false), wazero.NewModuleConfig().WithName("env")); err != nil {
		t.Fatal(err)
	}
	instance, err := r.Instantiate(ctx, m.Bytes())
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
