package eval

import (
	"math"
	"math/bits"
)

// surfels are elements of a surface between pixels or voxels, one at each corner that it passes through.
type surfels struct {
	at   []int   // corners in the order of indexes
	code []uint8 // which points around the corner are inside: bit 0 that with its index, bit 1 the one before, then those a row and a plane back
}

func (l *lattice) surfels(solid []uint8) (out surfels) {
	around := []int{0}
	for _, s := range l.steps() {
		for _, a := range around {
			around = append(around, a+s)
		}
	}
	for i := l.margin(); i < l.points(); i += wordSize {
		some, all := uint64(0), ^uint64(0)
		for _, a := range around {
			w := word(solid, i-a)
			some |= w
			all &= w
		}
		for edge := some &^ all; edge != 0; edge &= edge - 1 {
			at := i + bits.TrailingZeros64(edge)/8
			code := uint8(0)
			for k, a := range around {
				code |= solid[at-a] << k
			}
			out.at, out.code = append(out.at, at), append(out.code, code)
		}
	}
	return out
}

// sizes are the lengths or areas of surfels by their code, as surface-distance 0.1 has them.
func (l *lattice) sizes() []float64 {
	if l.flat() {
		out := make([]float64, 16)
		for code := range out {
			out[code] = contourLength(uint8(code), l.spacing[0], l.spacing[2])
		}
		return out
	}
	out := make([]float64, 256)
	for code := range out {
		out[code] = surfelArea(uint8(code), l.spacing)
	}
	return out
}

// contourLength is the length of a contour between four pixels: it cuts corners off and else goes along rows or columns.
func contourLength(code uint8, rows, columns float64) float64 {
	diagonal := math.Hypot(rows, columns) / 2
	bottomRight, bottomLeft, topRight := code&1, code>>1&1, code>>2&1
	switch inside := bits.OnesCount8(code); {
	case inside == 0 || inside == 4:
		return 0
	case inside != 2:
		return diagonal
	case bottomRight != bottomLeft && bottomRight != topRight:
		return 2 * diagonal
	case bottomRight == bottomLeft:
		return columns
	}
	return rows
}

// surfelArea is the area of the surface that marching cubes (Lorensen and Cline, 1987) put between eight voxels, through the middles of
// the edges between inside and outside. Of a code and its complement that with fewer voxels inside counts, and voxels that do not
// share a face have surfaces of their own. Some of these are bent, and their area depends on the triangles that they are made of; all
// areas are those of surface-distance 0.1's compute_surface_distances.
func surfelArea(code uint8, spacing [3]float64) (area float64) {
	if bits.OnesCount8(code) > 4 {
		code = ^code
	}
	// By axis, which is that of columns, rows and planes as bits of a code go: the face of a voxel across it, and a quarter of the
	// rectangle along it through a face's diagonal.
	face := [3]float64{spacing[0] * spacing[1], spacing[0] * spacing[2], spacing[1] * spacing[2]}
	slope := [3]float64{math.Hypot(face[1], face[2]) / 4, math.Hypot(face[0], face[2]) / 4, math.Hypot(face[0], face[1]) / 4}
	corner := math.Hypot(math.Hypot(face[0], face[1]), face[2]) / 8 // the triangle that cuts one corner off
	for code != 0 {
		piece := connected(code)
		code &^= piece
		var linked [3]uint8 // voxels with a neighbour along each axis
		links := 0
		for axis := range linked {
			linked[axis] = piece & opposite(piece, axis)
			links += bits.OnesCount8(linked[axis]) / 2
		}
		for axis, voxels := range linked {
			others := linked[(axis+1)%3] | linked[(axis+2)%3]
			switch {
			case links == 1 && voxels != 0: // two voxels
				area += 2 * slope[axis]
			case links == 2 && voxels == 0: // three in an L
				area += 3*corner + face[axis]/2
			case links == 4 && voxels == 0: // four in a square
				area += face[axis]
			case links == 3 && linked[0]&linked[1]&linked[2] != 0: // one with three around it
				area += 2 * corner
			case links == 3 && voxels&^others == 0: // the middle of a chain of four
				area += 4 * corner
			case links == 3: // its ends
				area += slope[axis]
			}
		}
		if links == 0 {
			area += corner
		}
	}
	return area
}

// connected is the part of a code that hangs together by faces with its lowest voxel.
func connected(code uint8) uint8 {
	for piece := code & -code; ; {
		grown := piece
		for axis := range 3 {
			grown |= code & opposite(grown, axis)
		}
		if grown == piece {
			return piece
		}
		piece = grown
	}
}

// opposite exchanges the voxels of a code along an axis.
func opposite(code uint8, axis int) uint8 {
	low := [3]uint8{0x55, 0x33, 0x0f}[axis]
	shift := 1 << axis
	return code&low<<shift | code>>shift&low
}
