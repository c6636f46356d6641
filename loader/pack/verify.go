package pack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"wisp/loader"
)

// Verify checks a model directory: the manifest's consistency, then every
// chunk against its size, its hash and its raw size. The error names each bad
// chunk; what is fine is reported to w.
func Verify(ctx context.Context, dir string, w io.Writer) error {
	text, err := readFile(filepath.Join(dir, loader.ManifestName), maxManifest)
	if err != nil {
		return fmt.Errorf("verify: %w: %w", loader.ErrBadModel, err)
	}
	m, err := loader.ParseManifest(text)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	var bad []error
	var stored, raw int64
	for i, c := range m.Chunks {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		if err := verifyChunk(dir, c); err != nil {
			bad = append(bad, fmt.Errorf("verify: chunk %d, %s: %w", i, c.File(), err))
		}
		stored, raw = stored+c.Stored, raw+c.Raw
	}
	if len(bad) > 0 {
		return errors.Join(bad...)
	}
	fmt.Fprintf(w, "%s: %d chunks, %d tensors, %s stored, %s raw: every hash is right\n",
		dir, len(m.Chunks), len(m.Tensors), mb(stored), mb(raw))
	return nil
}

// maxManifest bounds the manifest, as the format does.
const maxManifest = 32 << 20

func verifyChunk(dir string, c loader.Chunk) error {
	b, err := readChunk(filepath.Join(dir, c.File()), c.Stored)
	if err != nil {
		return fmt.Errorf("%w: %w", loader.ErrCorrupt, err)
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != c.SHA256 {
		return fmt.Errorf("%w: its SHA-256 is %x", loader.ErrCorrupt, sum)
	}
	_, err = loader.DecodeChunk(c, b, nil)
	return err
}

func readChunk(name string, size int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() != size {
		return nil, fmt.Errorf("it is %d bytes long, the manifest says %d", info.Size(), size)
	}
	return readFile(name, loader.MaxChunk)
}
