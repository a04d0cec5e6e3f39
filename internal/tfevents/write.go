// Package tfevents writes and reads the event files that TensorBoard shows: records of TFRecord, each a
// protobuf Event (tensorflow/core/util/event.proto), of which it knows scalars, texts and PNG pictures.
package tfevents

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image/png"
	"math"
	"os"

	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of the messages, by their numbers in event.proto, summary.proto and tensor.proto.
const (
	eventWallTime    = 1 // double
	eventStep        = 2 // int64
	eventFileVersion = 3 // string
	eventSummary     = 5 // message of repeated values
	summaryValue     = 1

	valueTag      = 1
	valueSimple   = 2 // float
	valueImage    = 4
	valueTensor   = 8
	valueMetadata = 9

	imageHeight  = 1
	imageWidth   = 2
	imageColours = 3 // channels
	imagePNG     = 4

	metadataPlugin = 1
	pluginName     = 1

	tensorDType  = 1
	tensorShape  = 2
	tensorString = 8
	dtypeString  = 7
)

// version is what TensorBoard wants the first record of a file to say.
const version = "brain.Event:2"

// Value is one value under a tag.
type Value []byte

// Scalar is a number; TensorBoard keeps it as float32.
func Scalar(tag string, x float64) Value {
	v := appendBytes(nil, valueTag, []byte(tag))
	v = protowire.AppendTag(v, valueSimple, protowire.Fixed32Type)
	return protowire.AppendFixed32(v, math.Float32bits(float32(x)))
}

// Text is a text of Markdown.
func Text(tag, text string) Value {
	plugin := appendBytes(nil, pluginName, []byte("text"))
	tensor := appendInt(nil, tensorDType, dtypeString)
	tensor = appendBytes(tensor, tensorShape, nil) // of a scalar
	tensor = appendBytes(tensor, tensorString, []byte(text))
	v := appendBytes(nil, valueTag, []byte(tag))
	v = appendBytes(v, valueTensor, tensor)
	return appendBytes(v, valueMetadata, appendBytes(nil, metadataPlugin, plugin))
}

// Picture is a file of PNG with red, green and blue.
func Picture(tag string, file []byte) (Value, error) {
	size, err := png.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("picture %q of an event: %w", tag, err)
	}
	image := appendInt(nil, imageHeight, size.Height)
	image = appendInt(image, imageWidth, size.Width)
	image = appendInt(image, imageColours, 3)
	image = appendBytes(image, imagePNG, file)
	return appendBytes(appendBytes(nil, valueTag, []byte(tag)), valueImage, image), nil
}

func appendBytes(to []byte, field protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, field, protowire.BytesType), content)
}

func appendInt(to []byte, field protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(to, field, protowire.VarintType), uint64(n))
}

// Writer writes an event file.
type Writer struct{ file *os.File }

// Create begins an event file. One that is there is emptied in its place, and not replaced: TensorBoard,
// which may have it open, reads on where it was once the file has its length again.
func Create(path string) (*Writer, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create event file: %w", err)
	}
	w := &Writer{file: file}
	if err := w.write(appendBytes(event(0), eventFileVersion, []byte(version))); err != nil {
		file.Close()
		return nil, err
	}
	return w, nil
}

// event begins an Event. Its wall time is its step, in seconds: the time of day would make two runs with the same
// results different files, and would give a step that is done again after a kill another time. What is 0 is left out,
// as proto3 does.
func event(step int) []byte {
	if step == 0 {
		return nil
	}
	e := protowire.AppendTag(nil, eventWallTime, protowire.Fixed64Type)
	e = protowire.AppendFixed64(e, math.Float64bits(float64(step)))
	return appendInt(e, eventStep, step)
}

// Add writes the values of a step, 0 or more, as one record, which can be read as soon as Add returns.
func (w *Writer) Add(step int, values ...Value) error {
	var summary []byte
	for _, v := range values {
		summary = appendBytes(summary, summaryValue, v)
	}
	return w.write(appendBytes(event(step), eventSummary, summary))
}

func (w *Writer) write(event []byte) error {
	if _, err := w.file.Write(record(event)); err != nil {
		return fmt.Errorf("write event file: %w", err)
	}
	return nil
}

// Close ends the file.
func (w *Writer) Close() error {
	if err := w.file.Close(); err != nil {
		return fmt.Errorf("write event file: %w", err)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked is the CRC32C of data, masked as TFRecord does it so that a checksum over data with checksums in it is no special case.
func masked(data []byte) uint32 {
	crc := crc32.Checksum(data, castagnoli)
	return (crc>>15 | crc<<17) + 0xa282ead8
}

// record frames data: length, its checksum, data, its checksum, little-endian.
func record(data []byte) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	out = binary.LittleEndian.AppendUint32(out, masked(out))
	out = append(out, data...)
	return binary.LittleEndian.AppendUint32(out, masked(data))
}
