module example.org/flatpoint // docs/releasing.md

go 1.23

require (
	github.com/google/flatbuffers v25.12.19+incompatible
	github.com/zeebo/xxh3 v1.1.0
)

require (
	github.com/klauspost/cpuid/v2 v2.2.10 // indirect
	golang.org/x/sys v0.30.0 // indirect
)
