//go:build !js

package command

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"

	"wisp/engine/diffusion"
	"wisp/loader/network"
)

// referenceFlags are those of generate that bring pictures to be read beside
// the words.
type referenceFlags struct {
	adapter, encoder string
	pictures         []string
}

// add adds the IP-Adapter to a pipeline and returns the pictures of a request.
func (f referenceFlags) add(ctx context.Context, p *diffusion.Pipeline) (list []*image.NRGBA, closeAll func(), err error) {
	closeAll = func() {}
	switch {
	case f.adapter == "" && len(f.pictures) == 0:
		return nil, closeAll, nil
	case f.adapter == "" && p.Fields().References:
		list, err = f.read()
		return list, closeAll, err
	case f.adapter == "":
		return nil, closeAll, errors.New("-reference: name the IP-Adapter that reads it with -ip-adapter")
	case len(f.pictures) == 0:
		return nil, closeAll, errors.New("-ip-adapter: name the picture that it is to read with -reference")
	}
	if list, err = f.read(); err != nil {
		return nil, closeAll, err
	}
	_, adapter, err := openNetwork(f.adapter, nil)
	if err != nil {
		return nil, closeAll, fmt.Errorf("-ip-adapter: %w", err)
	}
	folder, err := f.encoderFolder()
	var config []byte
	var encoder *network.File
	if err == nil {
		config, encoder, err = openNetwork(folder, nil)
	}
	if err != nil {
		adapter.Close()
		return nil, closeAll, fmt.Errorf("-image-encoder: %w", err)
	}
	closeAll = func() { adapter.Close(); encoder.Close() }
	if err := p.AddImagePrompt(ctx, adapter, config, encoder); err != nil {
		closeAll()
		return nil, func() {}, fmt.Errorf("-ip-adapter: %w", err)
	}
	return list, closeAll, nil
}

// read decodes the pictures.
func (f referenceFlags) read() (list []*image.NRGBA, err error) {
	for _, name := range f.pictures {
		img, err := readPicture(name)
		if err != nil {
			return nil, fmt.Errorf("-reference: %w", err)
		}
		list = append(list, img)
	}
	return list, nil
}

// encoderFolder is the named one, or where the adapter's authors keep it: the
// folder image_encoder beside its file.
func (f referenceFlags) encoderFolder() (string, error) {
	if f.encoder != "" {
		return f.encoder, nil
	}
	folder := filepath.Join(filepath.Dir(f.adapter), "image_encoder")
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return "", fmt.Errorf("there is no folder %s: name that of CLIP's image encoder", folder)
	}
	return folder, nil
}
