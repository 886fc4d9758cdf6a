{{/* Names, labels, images. Most take (dict "root" $ "role" ROLE). */}}

{{- define "plugrank.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for the longest suffix ("-reranking", or "-load-" and 8 characters) to stay a name. */}}
{{- define "plugrank.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "plugrank.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Name of a role's workload and of what belongs to it. */}}
{{- define "plugrank.roleName" -}}
{{- printf "%s-%s" (include "plugrank.fullname" .root) .role -}}
{{- end -}}

{{/* Name of a role's Service. What the public calls has one name in both topologies. */}}
{{- define "plugrank.serviceName" -}}
{{- if has .role (list "all" "gateway") -}}
{{- include "plugrank.fullname" .root -}}
{{- else -}}
{{- include "plugrank.roleName" . -}}
{{- end -}}
{{- end -}}

{{- define "plugrank.selector" -}}
app.kubernetes.io/name: {{ include "plugrank.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{/* Labels of pods: no chart version, so that a new chart alone restarts nothing. */}}
{{- define "plugrank.podLabels" -}}
{{ include "plugrank.selector" . }}
app.kubernetes.io/part-of: plugrank
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "plugrank.labels" -}}
{{ include "plugrank.selector" . }}
app.kubernetes.io/part-of: plugrank
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "plugrank.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "plugrank.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* Reference of an image out of repository, tag and digest. */}}
{{- define "plugrank.imageRef" -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else if .tag -}}
{{ .repository }}:{{ .tag }}
{{- else -}}
{{ .repository }}
{{- end -}}
{{- end -}}

{{/* Image of a role: the CUDA build where its settings ask for a GPU. */}}
{{- define "plugrank.image" -}}
{{- $image := .root.Values.image -}}
{{- $tag := $image.tag | default .root.Chart.AppVersion -}}
{{- if include "plugrank.cuda" . -}}
{{- $gpu := .root.Values.gpu.image -}}
{{- include "plugrank.imageRef" (dict
      "repository" ($gpu.repository | default $image.repository)
      "tag" ($gpu.tag | default (printf "%s-cuda" $tag))
      "digest" $gpu.digest) -}}
{{- else -}}
{{- include "plugrank.imageRef" (dict "repository" $image.repository "tag" $tag "digest" $image.digest) -}}
{{- end -}}
{{- end -}}

{{/* Secret of the keys that the chart makes. */}}
{{- define "plugrank.accessSecret" -}}
{{- printf "%s-access" (include "plugrank.fullname" .) -}}
{{- end -}}

{{/* Secret and key of the bundled Redis server's password. */}}
{{- define "plugrank.redisPasswordSecret" -}}
{{- .Values.redis.bundled.existingSecret | default (include "plugrank.roleName" (dict "root" . "role" "redis")) -}}
{{- end -}}

{{- define "plugrank.redisUrlSecret" -}}
{{- .Values.redis.existingSecret | default (printf "%s-redis-url" (include "plugrank.fullname" .)) -}}
{{- end -}}
