// Command licences says which licences text files hold: one line for each file, with the SPDX identifiers that
// are in it, sorted and separated by spaces, and nothing after the tab where none was recognised.
//
// It is called by scripts/sbom.py, and is no part of samtune.
package main

import (
	"fmt"
	"log"
	"os"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("licences: ")
	for _, path := range os.Args[1:] {
		text, err := os.ReadFile(path)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\t%s\n", path, strings.Join(recognised(text), " "))
	}
}

// recognised returns the SPDX identifiers of the licences in text, each once.
func recognised(text []byte) []string {
	var ids []string
	for _, m := range licensecheck.Scan(text).Match {
		if !m.IsURL { // a link to a licence is no licence
			ids = append(ids, m.ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
