//go:build !js

package command

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/draw"
	"image/gif"
	_ "image/jpeg" // formats that readPicture knows
	_ "image/png"
	"os"

	"wisp/engine/diffusion"
)

// mostPicture is the largest picture file that is read.
const mostPicture = 256 << 20

// readPicture reads a PNG, JPEG or GIF file that does not move, turned as its
// EXIF data say. Its size is looked at before it is decoded.
func readPicture(name string) (*image.NRGBA, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > mostPicture {
		return nil, fmt.Errorf("%s has %d MiB: a picture may have %d", name, info.Size()>>20, mostPicture>>20)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	config, format, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s is no PNG, JPEG or GIF picture: %w", name, err)
	}
	if err := diffusion.CheckSize(name, config.Width, config.Height); err != nil {
		return nil, err
	}
	if format == "gif" {
		return readGIF(name, data)
	}
	img, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return turned(plain(img), orientation(data)), nil
}

// readGIF refuses one that moves by its second frame.
func readGIF(name string, data []byte) (*image.NRGBA, error) {
	img, err := gif.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if moves(data) {
		return nil, fmt.Errorf("%s is a moving picture: name one that stands still", name)
	}
	return plain(img), nil
}

// moves tells whether a GIF file has a second frame, without decoding any.
func moves(data []byte) bool {
	table := func(flags byte) int {
		if flags&0x80 == 0 {
			return 0
		}
		return 3 << (flags&7 + 1)
	}
	frames := 0
	for at := 13 + table(data[10]); at < len(data); {
		switch kind := data[at]; kind {
		case 0x21: // an extension: its label
			at += 2
		case 0x2c: // a frame: its place and size, its table, the width of its codes
			if frames++; frames > 1 {
				return true
			}
			if at+10 > len(data) {
				return false
			}
			at += 10 + table(data[at+9]) + 1
		default:
			return false
		}
		for at < len(data) && data[at] != 0 {
			at += int(data[at]) + 1
		}
		at++
	}
	return false
}

// plain copies a picture into one that starts at 0, 0 and whose colours are not
// multiplied by their alpha.
func plain(img image.Image) *image.NRGBA {
	r := img.Bounds()
	out := image.NewNRGBA(image.Rect(0, 0, r.Dx(), r.Dy()))
	draw.Draw(out, out.Rect, img, r.Min, draw.Src)
	return out
}

// orientation is that of the EXIF data of a JPEG or PNG file, 1 to 8; 1 where
// there are none.
func orientation(file []byte) int {
	for _, mark := range []string{"Exif\x00\x00", "eXIf"} {
		if at := bytes.Index(file[:min(len(file), 1<<17)], []byte(mark)); at >= 0 {
			return tiffOrientation(file[at+len(mark):])
		}
	}
	return 1
}

// tiffOrientation looks for tag 0x0112 in the first directory (TIFF 6.0,
// section 2).
func tiffOrientation(b []byte) int {
	const header, entry, tag = 8, 12, 0x0112
	if len(b) < header {
		return 1
	}
	var order binary.ByteOrder = binary.LittleEndian
	if b[0] == 'M' {
		order = binary.BigEndian
	}
	at := int(order.Uint32(b[4:]))
	if at < header || at+2 > len(b) {
		return 1
	}
	entries := b[at+2:]
	for range order.Uint16(b[at:]) {
		if len(entries) < entry {
			return 1
		}
		if order.Uint16(entries) == tag {
			if v := int(order.Uint16(entries[8:])); v >= 1 && v <= 8 {
				return v
			}
			return 1
		}
		entries = entries[entry:]
	}
	return 1
}

// turned puts a picture upright: bit 2 of orientation − 1 swaps rows and
// columns, the others mirror them.
func turned(img *image.NRGBA, orientation int) *image.NRGBA {
	if orientation == 1 {
		return img
	}
	w, h := img.Rect.Dx(), img.Rect.Dy()
	swap := orientation > 4
	mirrorX := [9]bool{2: true, 3: true, 7: true, 8: true}[orientation] // of what is stored
	mirrorY := [9]bool{3: true, 4: true, 6: true, 7: true}[orientation]
	size := image.Pt(w, h)
	if swap {
		size = image.Pt(h, w)
	}
	out := image.NewNRGBA(image.Rectangle{Max: size})
	for y := range size.Y {
		for x := range size.X {
			fromX, fromY := x, y
			if swap {
				fromX, fromY = y, x
			}
			if mirrorX {
				fromX = w - 1 - fromX
			}
			if mirrorY {
				fromY = h - 1 - fromY
			}
			copy(out.Pix[out.PixOffset(x, y):][:4], img.Pix[img.PixOffset(fromX, fromY):][:4])
		}
	}
	return out
}
