package main

import "context"

func (a *app) welcome(ctx context.Context) error { return nil }
