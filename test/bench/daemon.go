package main

const askVerb = "ask-on-the-machine"

func ask() {}

func fsyncsRow(b *bench, r *Result)  {}
func tickRow(b *bench, r *Result)    {}
func durableRow(b *bench, r *Result) {}
func answerRow(b *bench, r *Result)  {}
func scaleRow(b *bench, r *Result)   {}
func rssRow(b *bench, r *Result)     {}
func idleRow(b *bench, r *Result)    {}
func microRow(b *bench, r *Result)   {}
func pacingRow(b *bench, r *Result)  {}
