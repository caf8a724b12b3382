package license

import (
	"errors"
	"fmt"
	"time"
)

// ErrRefused matches every Refusal.
var ErrRefused = errors.New("license: refused")

// Code is the reason of a refusal, for programs.
type Code string

// These are the reasons.
const (
	MembershipUnknown   Code = "membership_unknown"
	MembershipSuspended Code = "membership_suspended"
	PlanWithoutDownload Code = "plan_without_downloads"
	TitleUnknown        Code = "title_unknown"
	TitleNotOffline     Code = "title_not_offline"
	TitleLeft           Code = "title_left"
	DeviceLimit         Code = "device_limit"
	DeviceDownloadLimit Code = "device_download_limit"
	LicenseLimit        Code = "license_limit"
	StudioLimit         Code = "studio_limit"
	TitleYearLimit      Code = "title_year_limit"
	MonthLimit          Code = "month_limit"
	TitleRenewalLimit   Code = "title_renewal_limit"
	PlayYearLimit       Code = "play_year_limit"
	NotFound            Code = "license_not_found"
	IDTaken             Code = "license_id_taken"
	Expired             Code = "license_expired"
	Ended               Code = "license_ended"
	Invalid             Code = "invalid_command"
	// NewerEvents is not the rules' no: the decision depends on events that a newer program wrote
	// and this one can't interpret. Another instance, or this one after its upgrade, can decide.
	NewerEvents Code = "newer_events"
	// StudioConcurrentLimit: all members together hold as many licenses as the studio allows.
	StudioConcurrentLimit Code = "studio_concurrent_limit"
)

// Refusal says that the rules do not allow a command. It matches ErrRefused.
type Refusal struct {
	Code Code
	// Detail says, for people, what happened and what to do.
	Detail string
	// Limit is the limit that was reached, or 0 if the reason is not a limit.
	Limit int
	// Until is when the same command may succeed, or the zero time if that is not known.
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
