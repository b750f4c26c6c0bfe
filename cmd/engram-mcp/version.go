package main

func version() string { return "dev" }
