package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// An object is a mapping in docs/openapi.yaml.
type object = map[string]any

// A description is docs/openapi.yaml with its compiled schemas. The test makes
// the schemas strict: an answer may have no field that they do not list. The file
// itself allows further fields, so that later versions can add some.
type description struct {
	root     object
	compiler *jsonschema.Compiler
}

const openapiFile = "openapi.json"

func readDescription(t *testing.T) *description {
	t.Helper()
	d := &description{root: readYAML(t, "../../docs/openapi.yaml"), compiler: jsonschema.NewCompiler()}
	for _, schema := range d.schemas() {
		if s := schema.(object); s["type"] == "object" {
			s["additionalProperties"] = false
		}
	}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(openapiFile, d.root); err != nil {
		t.Fatal(err)
	}
	return d
}

// readYAML reads a file into the types that the validator takes.
func readYAML(t *testing.T, path string) object {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var loose any
	if err := yaml.Unmarshal(text, &loose); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(loose) // fails if a key is not a string
	if err != nil {
		t.Fatal(err)
	}
	read, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return read.(object)
}

func (d *description) schemas() object {
	return d.root["components"].(object)["schemas"].(object)
}

// resolve returns the target of a $ref, or v itself if it is none.
func (d *description) resolve(v any) object {
	o := v.(object)
	ref, ok := o["$ref"].(string)
	if !ok {
		return o
	}
	at := any(d.root)
	for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(object)[part]
	}
	return d.resolve(at)
}

// validate compares a JSON text with the schema at a JSON pointer of the file.
func (d *description) validate(t *testing.T, pointer, text string) error {
	t.Helper()
	schema, err := d.compiler.Compile(openapiFile + "#" + pointer)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// operations returns the file's operations by method and path, such as "GET /v1/status".
func (d *description) operations() map[string]object {
	all := map[string]object{}
	for path, item := range d.root["paths"].(object) {
		for method, operation := range item.(object) {
			if method != "parameters" {
				all[strings.ToUpper(method)+" "+path] = operation.(object)
			}
		}
	}
	return all
}

// docs/openapi.yaml matches the OpenAPI Initiative's schema, and its schemas
// match that of JSON Schema.
func TestOpenAPIValid(t *testing.T) {
	t.Parallel()
	const openAPISchema = "https://spec.openapis.org/oas/3.1"
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(openAPISchema, readYAML(t, "testdata/openapi-3.1.yaml")); err != nil {
		t.Fatal(err)
	}
	checkValid := func(schema, what string, v any) {
		t.Helper()
		compiled, err := compiler.Compile(schema)
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(v); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	root := readYAML(t, "../../docs/openapi.yaml")
	checkValid(openAPISchema, "the file", root)
	for name, schema := range root["components"].(object)["schemas"].(object) {
		checkValid("https://json-schema.org/draft/2020-12/schema", name, schema)
	}
}

// docs/openapi.yaml describes exactly the routes of the route table.
func TestOpenAPIRoutes(t *testing.T) {
	t.Parallel()
	var patterns []string
	for _, r := range (&Server{}).routes() {
		patterns = append(patterns, r.pattern)
	}
	slices.Sort(patterns)
	described := slices.Sorted(maps.Keys(readDescription(t).operations()))
	if diff := cmp.Diff(patterns, described); diff != "" {
		t.Errorf("routes (-) and docs/openapi.yaml (+):\n%s", diff)
	}
}

// Each schema has the fields of its Go type, with the same types. It requires
// those that the encoder never omits.
func TestOpenAPIFields(t *testing.T) {
	t.Parallel()
	d := readDescription(t)
	for name, v := range map[string]any{
		"Problem": Problem{}, "Status": Status{}, "UserStopped": UserStopped{}, "Quarantine": Quarantine{},
		"Recoveries": Recoveries{}, "Report": recover.Report{}, "Row": recover.Row{}, "Attempt": recover.Attempt{},
		"Wait": recover.Wait{}, "Fall": recover.Fall{}, "Explanation": recover.Explanation{}, "NowCounts": NowCounts{},
		"Verdict": recover.Verdict{}, "Entry": recover.Entry{}, "Identity": recover.Identity{},
		"Suspect": recover.Suspect{}, "Snapshot": recover.Snapshot{}, "Container": recover.Container{},
		"Compose": recover.Compose{}, "Need": recover.Need{},
		"Boots": Boots{}, "EndedBoot": EndedBoot{}, "BootRecovery": BootRecovery{},
		"Plan": recover.Preview{}, "Batch": recover.Batch{}, "Planned": recover.Planned{}, "Step": recover.Step{},
	} {
		schema := d.resolve(object{"$ref": "#/components/schemas/" + name})
		properties := maps.Clone(schema["properties"].(object))
		var required []string
		for _, field := range reflect.VisibleFields(reflect.TypeOf(v)) {
			tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !field.IsExported() || tag == "-" || field.Anonymous { // its own fields are visible
				continue
			}
			property, ok := properties[tag]
			if !ok {
				t.Errorf("%s: %s is not described", name, tag)
				continue
			}
			delete(properties, tag)
			if !strings.Contains(options, "omit") {
				required = append(required, tag)
			}
			if got, want := d.kind(property), kindOf(field.Type); got != want {
				t.Errorf("%s.%s is described as %s and is %s", name, tag, got, want)
			}
		}
		if len(properties) > 0 {
			t.Errorf("%s: the Go type does not have %q", name, slices.Sorted(maps.Keys(properties)))
		}
		var described []string
		for _, r := range schema["required"].([]any) {
			described = append(described, r.(string))
		}
		slices.Sort(described)
		slices.Sort(required)
		if diff := cmp.Diff(required, described); diff != "" {
			t.Errorf("%s: never omitted by the encoder (-) and required by the schema (+):\n%s", name, diff)
		}
	}
}

// kind returns a schema's type; for an object, the schema's name.
func (d *description) kind(property any) string {
	schema := d.resolve(property)
	switch kind := schema["type"].(type) {
	case []any: // the second is "null"
		return d.kind(object{"type": kind[0], "items": schema["items"]})
	case string:
		switch ref, _ := property.(object)["$ref"].(string); {
		case kind == "array":
			return "array of " + d.kind(schema["items"])
		case kind == "object":
			return ref[strings.LastIndex(ref, "/")+1:]
		case schema["format"] != nil:
			return schema["format"].(string)
		}
		return kind
	}
	return "nothing"
}

func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Slice:
		return "array of " + kindOf(t.Elem())
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return "date-time"
		}
		return t.Name()
	case reflect.Map:
		return "" // an object that has no schema of its own
	case reflect.Bool:
		return "boolean"
	case reflect.Float64:
		return "number"
	case reflect.String:
		return "string"
	}
	return "integer"
}

// Each enumeration has the values of the constants in the code.
func TestOpenAPIEnums(t *testing.T) {
	t.Parallel()
	d := readDescription(t)
	for name, more := range map[string][]string{
		"Phase": nil, "RowState": nil, "NowState": nil, "Mode": nil,
		"Ending": {""}, "Cause": {""}, // "": nothing is known yet
	} {
		want := append(constants(t, name), more...)
		var got []string
		for _, v := range d.resolve(object{"$ref": "#/components/schemas/" + name})["enum"].([]any) {
			got = append(got, v.(string))
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s in the code (-) and in docs/openapi.yaml (+):\n%s", name, diff)
		}
	}
}

// constants returns the values of a string type's constants in package recover.
func constants(t *testing.T, typeName string) (values []string) {
	t.Helper()
	files, err := filepath.Glob("../recover/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			name, ok := spec.Type.(*ast.Ident)
			literal, isText := spec.Values[0].(*ast.BasicLit)
			if ok && isText && name.Name == typeName {
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, text)
			}
			return true
		})
	}
	return values
}

// check compares an answer with an operation of the file, such as
// "GET /v1/status". It returns which of the operation's responses it was.
func (d *description) check(t *testing.T, operation string, a answer) (which string) {
	t.Helper()
	op, ok := d.operations()[operation]
	if !ok {
		t.Fatalf("%s is not described", operation)
	}
	which = strconv.Itoa(a.StatusCode)
	responses := op["responses"].(object)
	response, ok := responses[which]
	if !ok {
		which, response = "default", responses["default"]
	}
	method, path, _ := strings.Cut(operation, " ")
	content := d.resolve(response)["content"].(object)
	kind := a.Header.Get("Content-Type")
	if _, ok := content[kind]; !ok {
		t.Errorf("%s: %s: Content-Type %q, want one of %q", operation, which, kind, slices.Sorted(maps.Keys(content)))
		return which
	}
	for header, described := range headers(d.resolve(response)) {
		if required, _ := described.(object)["required"].(bool); required && a.Header.Get(header) == "" {
			t.Errorf("%s: %s: no header %s", operation, which, header)
		}
	}
	pointer := fmt.Sprintf("/paths/%s/%s/responses/%s/content/%s/schema",
		escapePointer(path), strings.ToLower(method), which, escapePointer(kind))
	if ref, ok := response.(object)["$ref"].(string); ok {
		pointer = strings.TrimPrefix(ref, "#") + "/content/" + escapePointer(kind) + "/schema"
	}
	text := a.body
	if !strings.HasSuffix(kind, "json") {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		text = string(quoted)
	}
	if err := d.validate(t, pointer, text); err != nil {
		t.Errorf("%s: %s: %v\n%s", operation, which, err, a.body)
	}
	return which
}

func headers(response object) object {
	h, _ := response["headers"].(object)
	return h
}

// escapePointer escapes text for a JSON pointer in a URL's fragment.
func escapePointer(text string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D", " ", "%20").Replace(text)
}
