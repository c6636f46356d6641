//go:build !js

package hub

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// findToken looks where Hugging Face's own programs do: two variables, then the
// file that `hf auth login` writes. From says where it was.
func findToken() (token, from string, err error) {
	switch strings.ToUpper(os.Getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
	case "1", "ON", "YES", "TRUE":
		return "", "", nil
	}
	for _, name := range []string{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"} {
		if token := strings.TrimSpace(os.Getenv(name)); token != "" {
			return token, name, nil
		}
	}
	name := tokenFile()
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return "", "", nil // nobody logged in
	}
	const most = 1 << 16
	if info.Size() > most {
		return "", "", fmt.Errorf("%s: %d bytes are no token", name, info.Size())
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", "", fmt.Errorf("the token: %w", err)
	}
	return strings.TrimSpace(string(text)), name, nil
}

// tokenFile is where `hf auth login` leaves the token.
func tokenFile() string {
	if name := os.Getenv("HF_TOKEN_PATH"); name != "" {
		return name
	}
	home := os.Getenv("HF_HOME")
	if home == "" {
		cache := os.Getenv("XDG_CACHE_HOME")
		if cache == "" {
			user, err := os.UserHomeDir()
			if err != nil {
				return ""
			}
			cache = filepath.Join(user, ".cache")
		}
		home = filepath.Join(cache, "huggingface")
	}
	return filepath.Join(home, "token")
}
