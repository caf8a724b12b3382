package export

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/backstay-go/backstay/internal/suggest"
)

// Format is how rows are written.
type Format string

// The formats.
const (
	// JSONL is one JSON object per line.
	JSONL Format = "jsonl"
	// Parquet is Apache Parquet, compressed by zstd.
	Parquet Format = "parquet"
)

// formats makes the encoder of each format.
var formats = map[Format]func(io.Writer) encoder{JSONL: newJSONL, Parquet: newParquet}

// ParseFormat reads a format.
func ParseFormat(text string) (Format, error) {
	if _, ok := formats[Format(text)]; ok {
		return Format(text), nil
	}
	return "", fmt.Errorf("there are jsonl and parquet%s", suggest.Phrase(text, func(yield func(string) bool) { _ = yield(string(JSONL)) && yield(string(Parquet)) }))
}

// encoder writes rows to one file.
type encoder interface {
	write(rows []Row) error
	// close completes the file.
	close() error
}

type jsonLines struct {
	to   *bufio.Writer
	json *json.Encoder
}

func newJSONL(w io.Writer) encoder {
	to := bufio.NewWriterSize(w, 64<<10)
	lines := json.NewEncoder(to)
	lines.SetEscapeHTML(false)
	return jsonLines{to, lines}
}

func (j jsonLines) write(rows []Row) error {
	for i := range rows {
		if err := j.json.Encode(&rows[i]); err != nil {
			return err
		}
	}
	return nil
}

func (j jsonLines) close() error { return j.to.Flush() }

// rowGroup is the number of rows that are kept in memory before they are written.
const rowGroup = 16_384

type parquetFile struct{ rows *parquet.GenericWriter[Row] }

func newParquet(w io.Writer) encoder {
	return parquetFile{parquet.NewGenericWriter[Row](w, parquet.MaxRowsPerRowGroup(rowGroup), parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}), parquet.CreatedBy("backstay", "", ""))}
}

func (p parquetFile) write(rows []Row) error {
	_, err := p.rows.Write(rows)
	return err
}

func (p parquetFile) close() error { return p.rows.Close() }
