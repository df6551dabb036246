package bench

import (
	"fmt"
	"slices"
)

// figure is one quantity measured in several runs.
type figure struct {
	runs   []float64
	format func(float64) string
}

func (f *figure) add(v float64) { f.runs = append(f.runs, v) }

func (f *figure) median() float64 { return f.quantile(0.5) }

// quantile returns the nearest run, so that it is always one that was seen.
func (f *figure) quantile(q float64) float64 {
	sorted := slices.Sorted(slices.Values(f.runs))
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

// String is the median with the smallest and the largest run behind it.
func (f *figure) String() string {
	if len(f.runs) == 0 {
		return "–"
	}
	if len(f.runs) == 1 {
		return f.format(f.runs[0])
	}
	return fmt.Sprintf("%s (%s–%s)", f.format(f.median()), f.format(f.quantile(0)), f.format(f.quantile(1)))
}

func newFigure(format string) *figure {
	return &figure{format: func(v float64) string { return fmt.Sprintf(format, v) }}
}

// The units that the rows use.
func ratio() *figure        { return newFigure("%.2f") }
func megabytes() *figure    { return newFigure("%.0f MB/s") }
func milliseconds() *figure { return newFigure("%.0f ms") }
func seconds() *figure      { return newFigure("%.2f s") }
func count() *figure        { return newFigure("%.0f") }
func resident() *figure     { return newFigure("%.0f MB") }
