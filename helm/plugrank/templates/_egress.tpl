{{/* DNS, Redis and the collector: what any role, and `load`, may need. */}}

{{- define "plugrank.egressCommon" -}}
{{- $policy := .root.Values.networkPolicy -}}
- ports:
    - { protocol: UDP, port: {{ $policy.dns.port }} }
    - { protocol: TCP, port: {{ $policy.dns.port }} }
  {{- with $policy.dns.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- if not (include "plugrank.embedded" .root) }}
{{- if .root.Values.redis.bundled.enabled }}
- ports:
    - { protocol: TCP, port: 6379 }
  to:
    - podSelector:
        matchLabels:
          {{- include "plugrank.selector" (dict "root" .root "role" "redis") | nindent 10 }}
{{- else }}
- ports:
    - { protocol: TCP, port: {{ include "plugrank.redisPort" .root }} }
  {{- with $policy.redis.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
{{- $settings := include "plugrank.settings" (dict "root" .root "role" (ternary (include "plugrank.loadRole" .root) .role (eq .role "load"))) | fromJson }}
{{- $endpoint := dig "telemetry" "otlp_endpoint" "" $settings }}
{{- if $endpoint }}
{{- $port := regexFind ":[0-9]+$" (urlParse $endpoint).host | trimPrefix ":" }}
- ports:
    - { protocol: TCP, port: {{ $port | default (ternary "443" "80" (hasPrefix "https:" $endpoint)) }} }
  {{- with $policy.otlp.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Port of a Redis server elsewhere: that of the address, where the chart can see it. */}}
{{- define "plugrank.redisPort" -}}
{{- if .Values.redis.url -}}
{{- regexFind ":[0-9]+$" (urlParse .Values.redis.url).host | trimPrefix ":" | default "6379" -}}
{{- else -}}
{{- .Values.networkPolicy.redis.port -}}
{{- end -}}
{{- end -}}
