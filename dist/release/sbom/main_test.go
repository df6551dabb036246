package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xeipuuv/gojsonschema"
)

// A bill follows the schema of CycloneDX, and is the same twice.
func TestBillFollowsTheSchema(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bill := func() []byte {
		text, err := billOf(program, "1.2.3", time.Unix(1_700_000_000, 0).UTC())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	text := bill()
	if !bytes.Equal(text, bill()) {
		t.Error("it is another one the second time")
	}
	if !bytes.Contains(text, []byte(`"pkg:golang/github.com/CycloneDX/cyclonedx-go@`)) {
		t.Errorf("a module is missing: %s", text)
	}

	// The module that writes the format has the schemas in its source.
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "schema")
	loader := gojsonschema.NewSchemaLoader()
	// As the schema calls them, and as the files are called there.
	for name, file := range map[string]string{"spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json"} {
		if err := loader.AddSchema("http://cyclonedx.org/schema/"+name, fileLoader(dir, file)); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := loader.Compile(fileLoader(dir, "bom-1.6.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	result, err := schema.Validate(gojsonschema.NewBytesLoader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range result.Errors() {
		t.Error(e)
	}
}

func fileLoader(dir, name string) gojsonschema.JSONLoader {
	return gojsonschema.NewReferenceLoader("file://" + filepath.Join(dir, name))
}
