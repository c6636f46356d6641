//go:build !js

package command

import (
	"log"
	"os"
	"testing"
)

// The verbs run as from the root of the checkout.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		log.Fatal(err)
	}
	os.Exit(m.Run())
}
