// Package control is the HTTP/JSON API on the activated socket, and its client.
// docs/openapi.yaml describes the API.
//
// A resource has one file: its wire types, its handlers, and the methods of
// Client that call them. The route table is in routes.go.
package control
