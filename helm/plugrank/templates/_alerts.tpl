{{/* Expressions of the alert rules. All take the root; metrics carry the labels the ServiceMonitor gives. */}}

{{/* Whether alert rules are made. */}}
{{- define "plugrank.alerted" -}}
{{- include "plugrank.operated" (dict "root" . "enabled" .Values.alerts.enabled) -}}
{{- end -}}

{{/* Matchers of every pod of the release: job is the Service's name. */}}
{{- define "plugrank.series" -}}
{{- $jobs := list -}}
{{- $root := . -}}
{{- range (include "plugrank.roles" . | fromJson).roles -}}
{{- $jobs = append $jobs (include "plugrank.serviceName" (dict "root" $root "role" .)) -}}
{{- end -}}
namespace="{{ .Release.Namespace }}",job=~"{{ join "|" $jobs }}"
{{- end -}}

{{/* Matchers of rank requests, as the public role counts them. */}}
{{- define "plugrank.rankSeries" -}}
namespace="{{ .Release.Namespace }}",job="{{ include "plugrank.fullname" . }}",route="/v1/rank"
{{- end -}}

{{/* Matchers of what the recording rules of this release made. */}}
{{- define "plugrank.recorded" -}}
namespace="{{ .Release.Namespace }}",release="{{ .Release.Name }}"
{{- end -}}

{{/* Share of rank answers over the latency objective, within WINDOW. Takes (dict "root" $ "window" WINDOW). */}}
{{- define "plugrank.slowShare" -}}
{{- $series := include "plugrank.rankSeries" .root -}}
1 - sum(rate(plugrank_http_request_duration_seconds_bucket{ {{- $series }},le="{{ .root.Values.alerts.latency.seconds }}"}[{{ .window }}]))
/ sum(rate(plugrank_http_request_duration_seconds_count{ {{- $series }}}[{{ .window }}]))
{{- end -}}

{{/* Share of rank requests without an answer: 5xx, refused ones among them. */}}
{{- define "plugrank.errorShare" -}}
{{- $series := include "plugrank.rankSeries" .root -}}
sum(rate(plugrank_http_requests_total{ {{- $series }},status=~"5.."}[{{ .window }}]))
/ sum(rate(plugrank_http_requests_total{ {{- $series }}}[{{ .window }}]))
{{- end -}}

{{/*
Windows and burn rates for an error budget of 30 days: 2% of it gone in an hour and 5% in six wake
somebody, 10% in three days does not. Site Reliability Workbook, chapter 5, table 5-8.
*/}}
{{- define "plugrank.burnRates" -}}
{"rates": [
  {"long": "1h", "short": "5m", "burn": 14.4, "severity": "page"},
  {"long": "6h", "short": "30m", "burn": 6, "severity": "page"},
  {"long": "3d", "short": "6h", "burn": 1, "severity": "ticket"}
]}
{{- end -}}

{{/* How bad an alert is. Takes (list $ ALERT "page" or "ticket"), the last as it is unless the values say otherwise. */}}
{{- define "plugrank.severity" -}}
{{- $root := index . 0 -}}
{{- $names := $root.Values.alerts.severityNames -}}
{{- get $root.Values.alerts.severities (index . 1) | default (get $names (index . 2)) -}}
{{- end -}}

{{/* Where an alert's runbook is. Takes (list $ ALERT). */}}
{{- define "plugrank.runbook" -}}
{{- $root := index . 0 -}}
{{ $root.Values.alerts.runbooks | trimSuffix "/" }}/{{ index . 1 }}.md
{{- end -}}
