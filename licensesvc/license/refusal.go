package license

import (
	"errors"
	"fmt"
	"time"
)

// ErrRefused matches every Refusal.
var ErrRefused = errors.New("license: refused")

// Code says why a command was refused, for programs.
type Code string

// The reasons.
const (
	MembershipUnknown   Code = "membership_unknown"
	MembershipSuspended Code = "membership_suspended"
	PlanWithoutDownload Code = "plan_without_downloads"
	TitleUnknown        Code = "title_unknown"
	TitleNotOffline     Code = "title_not_offline"
	DeviceLimit         Code = "device_limit"
	LicenseLimit        Code = "license_limit"
	StudioLimit         Code = "studio_limit"
	TitleYearLimit      Code = "title_year_limit"
	PlayYearLimit       Code = "play_year_limit"
	NotFound            Code = "license_not_found"
	IDTaken             Code = "license_id_taken"
	Expired             Code = "license_expired"
	Ended               Code = "license_ended"
	Invalid             Code = "invalid_command"
)

// Refusal is a command that the rules do not allow. It matches ErrRefused.
type Refusal struct {
	Code Code
	// Detail says what happened and what to do, for people.
	Detail string
	// Limit is the bound that was reached, if it was one.
	Limit int
	// Until is when the same command may succeed, if that is known.
	Until time.Time
}

func (r *Refusal) Error() string { return "license: " + string(r.Code) + ": " + r.Detail }

// Is makes a Refusal match ErrRefused.
func (r *Refusal) Is(target error) bool { return target == ErrRefused }

func refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Detail: fmt.Sprintf(format, args...)}
}

func over(code Code, limit int, format string, args ...any) *Refusal {
	r := refuse(code, format, args...)
	r.Limit = limit
	return r
}
