"""A sample project in a real Label Studio: what `make demo` starts and what the end-to-end tests build on."""
