package chaos

import "github.com/backstay-go/backstay/internal/strictyaml"

// String returns the plan as YAML that parses to the same plan.
func (p Plan) String() string {
	if text := strictyaml.Encode(&p); text != "" {
		return text
	}
	return "rules: []\n"
}

// JSON returns the plan as JSON that parses to the same plan.
func (p Plan) JSON() []byte { return strictyaml.EncodeJSON(&p) }

// MarshalJSON lets a plan be part of a report.
func (p Plan) MarshalJSON() ([]byte, error) { return p.JSON(), nil }

// UnmarshalJSON reads what MarshalJSON wrote, as strictly as Parse.
func (p *Plan) UnmarshalJSON(text []byte) error {
	plan, err := Parse("", text)
	if err != nil {
		return err
	}
	*p = plan
	return nil
}
