package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"samtune/eval"
)

// missing stands where a value is not defined.
const missing = "–"

// Number prints a value with that many digits after the point, and a dash where it is not defined.
func Number(f eval.Float, digits int) string { return number(f, digits) }

func number(f eval.Float, digits int) string {
	if v := float64(f); math.IsNaN(v) || math.IsInf(v, 0) {
		return missing
	}
	return decimal(float64(f), digits)
}

// decimal prints v without the sign of a zero that rounding made of a small negative number.
func decimal(v float64, digits int) string {
	s := fmt.Sprintf("%.*f", digits, v)
	if strings.Trim(s, "-0.") == "" {
		return strings.TrimPrefix(s, "-")
	}
	return s
}

// full prints a value as it is; one that is not defined as nothing.
func full(f eval.Float) string {
	if !f.Defined() {
		return ""
	}
	return strconv.FormatFloat(float64(f), 'g', -1, 64)
}

func signed(f eval.Float, digits int) string {
	s := number(f, digits)
	if s == missing || strings.HasPrefix(s, "-") || strings.Trim(s, "0.") == "" {
		return s
	}
	return "+" + s
}

func interval(ci eval.Interval, digits int) string {
	low, high := number(ci[0], digits), number(ci[1], digits)
	if low == missing || high == missing {
		return missing
	}
	return low + " to " + high
}

// probability prints p with two significant digits.
func probability(p eval.Float) string {
	if !p.Defined() {
		return missing
	}
	return fmt.Sprintf("%#.2g", float64(p))
}

// clock prints seconds as m:ss, from an hour on as h:mm:ss.
func clock(seconds float64) string {
	if math.IsNaN(seconds) || seconds < 0 || seconds > math.MaxInt32 {
		return missing
	}
	s := int(math.Round(seconds))
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// grouped prints n with a comma before each three digits.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func mebibytes(mb float64) string {
	if mb <= 0 {
		return missing
	}
	return fmt.Sprintf("%.0f MiB", mb)
}

// clip shortens s to at most n characters.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
