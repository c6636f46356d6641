package diffusion

import (
	"fmt"
	"strconv"
	"strings"
)

// nextTag cuts prompt at its first tag, AUTOMATIC1111's <lora:name:0.8> and what
// its extensions put behind; false without one.
func nextTag(prompt string) (before, name string, fields []string, after string, found bool) {
	for at := 0; at < len(prompt); at++ {
		inside, tagged := strings.CutPrefix(prompt[at:], "<lora:")
		if !tagged {
			inside, tagged = strings.CutPrefix(prompt[at:], "<lyco:")
		}
		if !tagged {
			continue
		}
		if strings.HasPrefix(inside, ":") || strings.HasPrefix(inside, ">") {
			continue
		}
		inside, after, closed := strings.Cut(inside, ">")
		if !closed {
			break
		}
		fields := strings.Split(inside, ":")
		return prompt[:at], fields[0], fields[1:], after, true
	}
	return prompt, "", nil, "", false
}

// readTags takes the tags out of a prompt. As in AUTOMATIC1111, the first number
// is the strength, the second that in the denoiser where the first is the text
// encoders'; te=, unet= and lbw= name theirs.
func readTags(prompt string, notices []string) (bare string, tags []Lora, told []string) {
	for {
		before, name, fields, after, found := nextTag(prompt)
		bare += before
		if !found {
			break
		}
		prompt = after
		l := Lora{ID: strings.TrimSpace(name), Weight: 1}
		var numbers []float32
		for _, field := range fields {
			key, value, named := strings.Cut(field, "=")
			v, err := strconv.ParseFloat(strings.TrimSpace(field), 32)
			if named {
				v, err = strconv.ParseFloat(strings.TrimSpace(value), 32)
			}
			number := float32(v)
			switch {
			case named && strings.TrimSpace(key) == "lbw":
				if l.Blocks, err = readBlocks(value); err == nil {
					continue
				}
			case err != nil:
			case named && strings.TrimSpace(key) == "te":
				l.Text = &number
				continue
			case named && strings.TrimSpace(key) == "unet":
				if l.Text == nil {
					text := l.Weight
					l.Text = &text
				}
				l.Weight = number
				continue
			case !named && len(numbers) < 2:
				numbers = append(numbers, number)
				if l.Weight = number; len(numbers) == 2 {
					l.Text = &numbers[0]
				}
				continue
			}
			notices = append(notices, fmt.Sprintf("prompt: %q of <lora:%s:…> is not understood", field, l.ID))
		}
		tags = append(tags, l)
	}
	if len(tags) > 0 {
		bare = strings.TrimSpace(bare)
	}
	return bare, tags, notices
}

// The blocks that lists of block weights name, as sd-webui-lora-block-weight has
// them: all of a UNet with three or four levels, or those with attention.
var blockLists = map[int]string{
	26: "BASE IN00 IN01 IN02 IN03 IN04 IN05 IN06 IN07 IN08 IN09 IN10 IN11 M00 OUT00 OUT01 OUT02 OUT03 OUT04 OUT05 OUT06 OUT07 OUT08 OUT09 OUT10 OUT11",
	17: "BASE IN01 IN02 IN04 IN05 IN07 IN08 M00 OUT03 OUT04 OUT05 OUT06 OUT07 OUT08 OUT09 OUT10 OUT11",
	20: "BASE IN00 IN01 IN02 IN03 IN04 IN05 IN06 IN07 IN08 M00 OUT00 OUT01 OUT02 OUT03 OUT04 OUT05 OUT06 OUT07 OUT08",
	12: "BASE IN04 IN05 IN07 IN08 M00 OUT00 OUT01 OUT02 OUT03 OUT04 OUT05",
}

// readBlocks reads a list of block weights, "1,0,0.5,…", for a UNet with two
// layers a block.
func readBlocks(list string) (map[string]float32, error) {
	values := strings.Split(list, ",")
	names, ok := blockLists[len(values)]
	if !ok {
		return nil, fmt.Errorf("%d block weights: give 12, 17, 20 or 26", len(values))
	}
	blocks := map[string]float32{}
	for i, name := range strings.Fields(names) {
		v, err := strconv.ParseFloat(strings.TrimSpace(values[i]), 32)
		if err != nil {
			return nil, err
		}
		if block := unetBlock(name); block != "" {
			blocks[block] = float32(v)
		}
	}
	return blocks, nil
}

// unetBlock is diffusers' name for a block of CompVis's UNet; "" for BASE, the
// text encoders', and for the first convolution.
func unetBlock(name string) string {
	n, err := strconv.Atoi(strings.TrimLeft(name, "INOUTM"))
	switch {
	case err != nil || name == "IN00":
		return ""
	case name[0] == 'M':
		return "mid_block"
	case name[0] == 'O':
		return fmt.Sprintf("up_blocks.%d.%d", n/3, n%3)
	case n%3 == 0:
		return fmt.Sprintf("down_blocks.%d.downsamplers", n/3-1)
	}
	return fmt.Sprintf("down_blocks.%d.%d", (n-1)/3, (n-1)%3)
}
