package eval

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// exactLimit is the number of non-zero differences up to which the test is exact, as in SciPy.
const exactLimit = 50

// wilcoxon returns the two-sided p of the signed-rank test and names its variant. Zeros are dropped
// (Wilcoxon's own treatment, zero_method="wilcox" in SciPy) and tied magnitudes share their mid-rank.
// With up to 50 differences left p comes from the exact permutation distribution over the ranks as
// they are, tied or not: SciPy's method="exact" without ties, its PermutationMethod over all signs
// with them. Beyond, it is the normal approximation with the correction for ties. Where all
// differences are zero p is 1.
func wilcoxon(differences []float64) (p float64, test string) {
	d := nonZero(differences)
	ranks, tied := doubledRanks(d)
	variant := "exact"
	if len(d) > exactLimit {
		variant = "normal approximation"
	}
	test = fmt.Sprintf("Wilcoxon signed-rank test, two-sided, %s", variant)
	if tied {
		test += ", ties by mid-ranks"
	}
	switch zeros := len(differences) - len(d); {
	case zeros == 1:
		test += ", 1 zero dropped"
	case zeros > 1:
		test += fmt.Sprintf(", %d zeros dropped", zeros)
	}
	if len(d) == 0 {
		return 1, test
	}
	positive := 0
	for i, x := range d {
		if x > 0 {
			positive += ranks[i]
		}
	}
	if len(d) > exactLimit {
		return approximateP(ranks, positive), test
	}
	return exactP(ranks, positive), test
}

func nonZero(differences []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(differences), func(x float64) bool { return x == 0 })
}

// doubledRanks returns twice the mid-rank of each value's magnitude, which is an integer.
func doubledRanks(d []float64) (ranks []int, tied bool) {
	order := make([]int, len(d))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch x, y := math.Abs(d[a]), math.Abs(d[b]); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	ranks = make([]int, len(d))
	for i := 0; i < len(order); {
		j := i + 1
		for j < len(order) && math.Abs(d[order[j]]) == math.Abs(d[order[i]]) {
			j++
		}
		for _, at := range order[i:j] {
			ranks[at] = i + 1 + j
		}
		tied = tied || j > i+1
		i = j
	}
	return ranks, tied
}

// exactP counts the sign patterns whose rank sum is as far out as the observed one. At most 2^50
// patterns fit a float64 exactly.
func exactP(ranks []int, positive int) float64 {
	total := 0
	for _, r := range ranks {
		total += r
	}
	ways := make([]float64, total+1)
	ways[0] = 1
	reached := 0
	for _, r := range ranks {
		reached += r
		for sum := reached; sum >= r; sum-- {
			ways[sum] += ways[sum-r]
		}
	}
	// The distribution is symmetric about half the total: both tails are twice the nearer one.
	tail := 0.0
	for sum := 0; sum <= min(positive, total-positive); sum++ {
		tail += ways[sum]
	}
	return min(1, 2*tail/math.Ldexp(1, len(ranks)))
}

func approximateP(ranks []int, positive int) float64 {
	var total, squares float64
	for _, r := range ranks {
		total += float64(r)
		squares += float64(r) * float64(r)
	}
	// Under the null each doubled rank counts or not with even odds: variance r²/4, ties included.
	z := (float64(positive) - total/2) / math.Sqrt(squares/4)
	return 2 * distuv.UnitNormal.CDF(-math.Abs(z))
}
