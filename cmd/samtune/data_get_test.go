package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDataGet takes Kvasir-SEG from a mirror that cuts the connection once, to the line that says that it is here.
func TestDataGet(t *testing.T) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range 4 {
		for _, folder := range []string{"images", "masks"} {
			img := image.NewRGBA(image.Rect(0, 0, 48, 40))
			for y := range 40 {
				for x := range 48 {
					img.Set(x, y, color.RGBA{uint8(x * 5), uint8(y * 6), uint8(i * 40), 255})
					if inside := x > 8+i && y > 10; folder == "masks" {
						img.Set(x, y, color.Gray{map[bool]uint8{true: 255}[inside]})
					}
				}
			}
			f, err := w.Create(fmt.Sprintf("Kvasir-SEG/%s/polyp%d.jpg", folder, i))
			if err == nil {
				err = jpeg.Encode(f, img, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cut := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && cut {
			cut = false
			w.Header().Set("Content-Length", fmt.Sprint(b.Len()))
			w.Header().Set("Accept-Ranges", "bytes")
			w.Write(b.Bytes()[:b.Len()/2])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader(b.Bytes()))
	}))
	defer server.Close()
	root := t.TempDir()
	code, out, errOut := call("data", "get", "kvasir_seg", "--url", server.URL+"/kvasir-seg.zip", "--out", root)
	if code != 0 || !strings.Contains(out, "2 + 2 cases") {
		t.Fatalf("exit code %d: %s%s", code, out, errOut)
	}
	for _, want := range []string{"cite the paper", "not verified by one"} {
		if !strings.Contains(errOut, want) {
			t.Errorf("it does not say %q: %s", want, errOut)
		}
	}
	if entries, _ := os.ReadDir(root); len(entries) != 1 {
		t.Errorf("%v is left in the data folder", entries)
	}
	if code, out, _ := call("data", "get", "kvasir_seg", "--data", root); code != 0 || !strings.Contains(out, "already there") {
		t.Errorf("once more: exit code %d: %s", code, out)
	}
	_, out, _ = call("data", "list", "--data", root)
	for _, line := range strings.Split(out, "\n") {
		if strings.HasPrefix(line, "kvasir_seg ") && !strings.Contains(line, "2 + 2 cases") {
			t.Errorf("data list says: %s", line)
		}
	}
	t.Run("by hand", func(t *testing.T) {
		code, out, errOut := call("data", "get", "drive", "--data", root)
		if code != exitData || !strings.Contains(out, "register at https://drive.grand-challenge.org") || !strings.Contains(out, "DRIVE/training/images/21_training.tif") {
			t.Errorf("exit code %d: %s%s", code, out, errOut)
		}
	})
	t.Run("no folder", func(t *testing.T) {
		if code, _, errOut := call("data", "get", "hc18", "--data", ""); code != exitUsage || !strings.Contains(errOut, "--out") {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
	t.Run("a harmful archive", func(t *testing.T) {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		if _, err := w.Create("../../evil.txt"); err != nil {
			t.Fatal(err)
		}
		w.Close()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader(b.Bytes()))
		}))
		defer server.Close()
		root := filepath.Join(t.TempDir(), "a", "b")
		if code, _, errOut := call("data", "get", "hc18", "--url", server.URL+"/x.zip", "--out", root); code != exitCorrupt || !strings.Contains(errOut, "evil.txt") {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
}
