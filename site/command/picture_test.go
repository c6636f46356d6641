//go:build !js

package command

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// exif is a TIFF header and one entry: the orientation.
func exif(order binary.AppendByteOrder, mark string, v uint16) []byte {
	b := order.AppendUint16([]byte(mark), 42)
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 1)
	b = order.AppendUint16(b, 0x0112)
	b = order.AppendUint16(b, 3)
	b = order.AppendUint32(b, 1)
	return order.AppendUint32(order.AppendUint16(b, v), 0)
}

// written puts bytes into a file.
func written(t *testing.T, name string, data []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// The mark that is stored in one corner stands, once read, where the
// orientation says.
func TestOrientation(t *testing.T) {
	stored := image.NewNRGBA(image.Rect(0, 0, 32, 16))
	for i := range stored.Pix {
		stored.Pix[i] = 255
	}
	for y := range 8 {
		for x := range 8 {
			stored.Set(x, y, color.Black)
		}
	}
	var b, p bytes.Buffer
	if err := jpeg.Encode(&b, stored, nil); err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(&p, stored); err != nil {
		t.Fatal(err)
	}
	// Of orientation 1 to 8: whether the mark is right, is below, and the picture is high.
	corners := [8][3]bool{{}, {true, false, false}, {true, true, false}, {false, true, false}, {false, false, true}, {true, false, true}, {true, true, true}, {false, true, true}}
	for i, c := range corners {
		data := exif(binary.LittleEndian, "II", uint16(i+1))
		if i%2 == 1 {
			data = exif(binary.BigEndian, "MM", uint16(i+1))
		}
		block := append([]byte("Exif\x00\x00"), data...)
		head := binary.BigEndian.AppendUint16([]byte{0xff, 0xd8, 0xff, 0xe1}, uint16(2+len(block)))
		chunk := append([]byte("eXIf"), data...)
		chunk = binary.BigEndian.AppendUint32(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), chunk...), crc32.ChecksumIEEE(chunk))
		const header = 8 + 4 + 4 + 13 + 4
		for name, file := range map[string][]byte{
			"a.jpg": append(append(head, block...), b.Bytes()[2:]...),
			"a.png": append(append(append([]byte{}, p.Bytes()[:header]...), chunk...), p.Bytes()[header:]...),
		} {
			img, err := readPicture(written(t, name, file))
			if err != nil {
				t.Fatal(err)
			}
			w, h := img.Rect.Dx(), img.Rect.Dy()
			at := image.Pt(3, 3)
			if c[0] {
				at.X = w - 4
			}
			if c[1] {
				at.Y = h - 4
			}
			if (h > w) != c[2] || img.NRGBAAt(at.X, at.Y).R > 40 {
				t.Errorf("%s, orientation %d: %d×%d, %v at %v", name, i+1, w, h, img.NRGBAAt(at.X, at.Y), at)
			}
		}
	}
}

func TestBadPictureFiles(t *testing.T) {
	frame := image.NewPaletted(image.Rect(0, 0, 4, 4), []color.Color{color.Black, color.White})
	animated := func(n int) []byte {
		var b bytes.Buffer
		g := &gif.GIF{}
		for range n {
			g.Image, g.Delay = append(g.Image, frame), append(g.Delay, 1)
		}
		if err := gif.EncodeAll(&b, g); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	if img, err := readPicture(written(t, "still.gif", animated(1))); err != nil || img.Rect.Dx() != 4 {
		t.Errorf("a still GIF: %v", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewNRGBA(image.Rect(0, 0, 3, 3))); err != nil {
		t.Fatal(err)
	}
	huge := bytes.Clone(b.Bytes())
	binary.BigEndian.PutUint32(huge[16:], 20000)
	binary.BigEndian.PutUint32(huge[20:], 20000)
	binary.BigEndian.PutUint32(huge[29:], crc32.ChecksumIEEE(huge[12:29]))
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"moving.gif": {animated(3), "moving picture"},
		"huge.png":   {huge, "20000×20000"},
		"cut.png":    {b.Bytes()[:len(b.Bytes())-20], "cut.png"},
		"words.txt":  {[]byte("words"), "no PNG, JPEG or GIF"},
	} {
		if _, err := readPicture(written(t, name, c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	if _, err := readPicture("none such.png"); err == nil {
		t.Error("a file that is not there was read")
	}
}
