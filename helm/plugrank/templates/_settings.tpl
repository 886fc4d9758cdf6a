{{/* The settings file of each role. */}}

{{/* Settings of a role as JSON: `config`, the role's own, and what only the chart can know. */}}
{{- define "plugrank.settings" -}}
{{- $values := .root.Values -}}
{{- $root := .root -}}
{{- $role := include "plugrank.role" . | fromJson -}}
{{- $set := mustMergeOverwrite (deepCopy $values.config) ($role.config | default dict) -}}
{{- $store := dict "kind" $values.store.kind -}}
{{- if include "plugrank.embedded" .root -}}
{{- $_ := set $store "path" "/var/lib/plugrank/plugrank.redb" -}}
{{- else -}}
{{- with include "plugrank.redisSettings" .root | fromJson -}}{{- $_ := set $store "redis" . -}}{{- end -}}
{{- end -}}
{{- $chart := dict
      "server" (dict "bind" (printf "%s:%d" $values.bindAddress (int $values.port)))
      "store" $store -}}
{{- with include "plugrank.tlsFolder" . -}}
{{- $_ := set $chart.server "tls" (dict "certificate_file" (printf "%s/tls.crt" .) "key_file" (printf "%s/tls.key" .)) -}}
{{- end -}}
{{- $asks := eq $values.access.auth "keys" -}}
{{- $_ := set $chart "access" (ternary (dict "keys_file" "/etc/plugrank-access/keys.toml") (dict "auth" "none") $asks) -}}
{{- if include "plugrank.snapshots" . -}}
{{- $_ := set $chart "retrieval" (dict "snapshot" (dict "path" "/var/lib/plugrank-retrieval")) -}}
{{- end -}}
{{- if include "plugrank.needsBundle" .role -}}
{{- $bundle := clean (printf "/bundle/%s" $values.bundle.path) -}}
{{- if include "plugrank.shop" .root -}}
{{- $bundle = printf "%s/bundle" (include "plugrank.shopFolder" .root) -}}
{{- end -}}
{{- $_ := set $chart "bundle" (dict "path" $bundle) -}}
{{- end -}}
{{/* A role that had its own address would call itself, so each gets only those it calls. */}}
{{- $peers := dict -}}
{{- range index (include "plugrank.calls" .root | fromJson) .role -}}
{{- $host := include "plugrank.serviceName" (dict "root" $root "role" .) -}}
{{- $_ := set $peers (printf "%s_url" .) (printf "%s://%s:%d" (ternary "https" "http" (eq (include "plugrank.mutualTls" $root) "true")) $host (int $values.port)) -}}
{{- end -}}
{{- if include "plugrank.mutualTls" .root -}}
{{- $folder := "/etc/plugrank-role-tls" -}}
{{- $_ := set $peers "tls" (dict "ca_file" (printf "%s/ca.crt" $folder) "certificate_file" (printf "%s/tls.crt" $folder) "key_file" (printf "%s/tls.key" $folder)) -}}
{{- end -}}
{{- if and $asks (eq $values.topology "split") -}}
{{- $_ := set $peers "token_file" "/etc/plugrank-access/token" -}}
{{- end -}}
{{- if $peers -}}
{{- $_ := set $chart "peers" $peers -}}
{{- end -}}
{{- mustMergeOverwrite $set $chart | toJson -}}
{{- end -}}

{{/* Whether a role keeps snapshots of retrieval. Takes (dict "root" $ "role" ROLE). */}}
{{- define "plugrank.snapshots" -}}
{{- if and (has .role (list "all" "retrieval")) .root.Values.snapshots.enabled (not (include "plugrank.embedded" .root)) -}}
true
{{- end -}}
{{- end -}}

{{/* What the settings file says of an external Redis as JSON: nothing that is secret. */}}
{{- define "plugrank.redisSettings" -}}
{{- $redis := .Values.redis -}}
{{- $set := dict -}}
{{- with $redis.cluster.urls -}}{{- $_ := set $set "cluster_urls" . -}}{{- end -}}
{{- with $redis.sentinel.urls -}}{{- $_ := set $set "sentinel_urls" . -}}{{- end -}}
{{- with $redis.sentinel.master -}}{{- $_ := set $set "sentinel_master" . -}}{{- end -}}
{{- with $redis.auth.username -}}{{- $_ := set $set "username" . -}}{{- end -}}
{{- if $redis.ca.existingSecret -}}
{{- $_ := set $set "ca_file" (printf "/etc/plugrank-redis/%s" $redis.ca.secretKey) -}}
{{- end -}}
{{- toJson $set -}}
{{- end -}}

{{/*
TOML of (list PREFIX MAP). Helm's own toToml writes whole numbers out of a values file as 4.194304e+06;
JSON's numbers, strings, booleans and lists are TOML's too.
*/}}
{{- define "plugrank.toml" -}}
{{- $prefix := index . 0 -}}
{{- $map := index . 1 -}}
{{- range $key, $value := $map -}}
{{- if not (kindIs "map" $value) }}
{{ $key }} = {{ toRawJson $value }}
{{- end -}}
{{- end -}}
{{- range $key, $value := $map -}}
{{- if kindIs "map" $value }}
{{- $name := ternary $key (printf "%s.%s" $prefix $key) (eq $prefix "") }}

[{{ $name }}]
{{- include "plugrank.toml" (list $name $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "plugrank.settingsFile" -}}
{{- include "plugrank.toml" (list "" (include "plugrank.settings" . | fromJson)) | trim -}}
{{- end -}}
