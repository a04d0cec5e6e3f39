package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// bundleFolder is the folder of the bundle (make bundle) that the program came in: the one above its own.
func bundleFolder() (string, error) {
	self, err := program()
	return filepath.Dir(filepath.Dir(self)), err
}

// launcher is the file that starts samtune on another machine that sees the same folders: a bundle's script, which finds
// libtorch there, or else the program.
func launcher() (string, error) {
	if script := os.Getenv("SAMTUNE_LAUNCHER"); script != "" {
		return script, nil
	}
	return program()
}

// program is the path of the program itself.
func program() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find samtune's own file: %w", err)
	}
	return self, nil
}
