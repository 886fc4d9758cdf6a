{{/* The pod of a role. Takes (dict "root" $ "role" ROLE). */}}

{{- define "plugrank.pod" -}}
{{- $root := .root -}}
{{- $values := .root.Values -}}
{{- $role := include "plugrank.role" . | fromJson -}}
{{- $settings := include "plugrank.settings" . | fromJson -}}
{{- $cuda := include "plugrank.cuda" . -}}
{{- $embedded := include "plugrank.embedded" .root -}}
metadata:
  labels:
    {{- include "plugrank.podLabels" . | nindent 4 }}
    {{- with $role.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include "plugrank.settingsFile" . | sha256sum }}
    {{- if and $values.redis.url (not $embedded) }}
    checksum/redis-url: {{ $values.redis.url | sha256sum }}
    {{- end }}
    {{- with $role.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "plugrank.podCommon" . | nindent 2 }}
  # preStop, drain_delay_ms and grace_ms one after the other, and a margin to end in.
  terminationGracePeriodSeconds: {{ include "plugrank.terminationSeconds" (dict "values" $values "settings" $settings) }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: {{ $role.spread }}
      labelSelector:
        matchLabels:
          {{- include "plugrank.selector" $ | nindent 10 }}
      {{- if not $embedded }}
      matchLabelKeys: [pod-template-hash]
      {{- end }}
    {{- end }}
  {{- $load := include "plugrank.loads" .root }}
  {{- $copyBundle := and (include "plugrank.needsBundle" .role) $values.bundle.image.repository }}
  {{- $copyDataset := and $load $values.load.enabled $values.load.dataset.image.repository }}
  {{- if or $copyBundle $load }}
  initContainers:
    {{- if $copyBundle }}
    {{- include "plugrank.copyContainer" (dict "root" $root "name" "bundle" "of" $values.bundle) | nindent 4 }}
    {{- end }}
    {{- if $copyDataset }}
    {{- include "plugrank.copyContainer" (dict "root" $root "name" "dataset" "of" $values.load.dataset) | nindent 4 }}
    {{- end }}
    {{- if $load }}
    {{- include "plugrank.loadContainer" . | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    - name: plugrank
      {{- include "plugrank.containerCommon" . | nindent 6 }}
      args: [serve, --config, /etc/plugrank/plugrank.toml, --role, {{ .role }}]
      ports:
        - name: http
          containerPort: {{ $values.port }}
      {{- $scheme := ternary "HTTPS" "HTTP" (ne (include "plugrank.tlsFolder" .) "") }}
      startupProbe:
        httpGet: { path: /healthz, port: http, scheme: {{ $scheme }} }
        {{- toYaml $values.probes.startup | nindent 8 }}
      readinessProbe:
        httpGet: { path: /readyz, port: http, scheme: {{ $scheme }} }
        {{- toYaml $values.probes.readiness | nindent 8 }}
      livenessProbe:
        httpGet: { path: /healthz, port: http, scheme: {{ $scheme }} }
        {{- toYaml $values.probes.liveness | nindent 8 }}
      {{- if $values.drain.preStopSleepSeconds }}
      lifecycle:
        preStop:
          sleep: { seconds: {{ $values.drain.preStopSleepSeconds }} }
      {{- end }}
      resources:
        {{- $resources := deepCopy $role.resources }}
        {{- if $cuda }}
        {{- $gpus := dict $values.gpu.resource (int $values.gpu.count) }}
        {{- $_ := set $resources "limits" (mustMergeOverwrite (deepCopy ($resources.limits | default dict)) $gpus) }}
        {{- end }}
        {{- toYaml $resources | nindent 8 }}
    {{- with $role.sidecars }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "plugrank.volumes" (dict "root" $root "role" .role "load" (and $load $values.load.enabled)) | nindent 4 }}
{{- end -}}

{{/* What pods of roles and of `load` have in common. */}}
{{- define "plugrank.podCommon" -}}
{{- $values := .root.Values -}}
{{- $role := include "plugrank.role" . | fromJson -}}
{{- $cuda := include "plugrank.cuda" . -}}
serviceAccountName: {{ include "plugrank.serviceAccountName" .root }}
automountServiceAccountToken: false
# Environment variables named after Services would stand among the settings.
enableServiceLinks: false
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml $values.podSecurityContext | nindent 2 }}
{{- with $role.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- if and $cuda $values.gpu.runtimeClassName }}
runtimeClassName: {{ $values.gpu.runtimeClassName }}
{{- end }}
{{- $nodes := mustMergeOverwrite (ternary (deepCopy $values.gpu.nodeSelector) dict (eq $cuda "true")) $role.nodeSelector }}
{{- with $nodes }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $tolerations := concat $role.tolerations (ternary $values.gpu.tolerations list (eq $cuda "true")) }}
{{- with $tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $role.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Image, environment, rights and mounts of a container that runs plugrank. */}}
{{- define "plugrank.containerCommon" -}}
{{- $values := .root.Values -}}
{{- $role := include "plugrank.role" . | fromJson -}}
image: {{ include "plugrank.image" . }}
imagePullPolicy: {{ $values.image.pullPolicy }}
securityContext:
  {{- toYaml $values.containerSecurityContext | nindent 2 }}
{{- $env := include "plugrank.env" . | trim -}}
{{- if or $env $role.extraEnv }}
env:
  {{- with $env }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with $role.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- with $role.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  {{- with $role.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  - { name: config, mountPath: /etc/plugrank, readOnly: true }
  - { name: tmp, mountPath: /tmp }
  {{- if eq $values.access.auth "keys" }}
  - { name: access, mountPath: /etc/plugrank-access, readOnly: true }
  {{- end }}
  {{- with include "plugrank.tlsSecrets" . | fromJson }}
  {{- range $name, $_ := . }}
  - { name: {{ $name }}, mountPath: /etc/plugrank-{{ $name }}, readOnly: true }
  {{- end }}
  {{- end }}
  {{- if and (include "plugrank.needsBundle" .role) (not (include "plugrank.shop" .root)) }}
  - { name: bundle, mountPath: /bundle, readOnly: true }
  {{- end }}
  {{- if include "plugrank.snapshots" . }}
  - { name: snapshots, mountPath: /var/lib/plugrank-retrieval }
  {{- end }}
  {{- if include "plugrank.embedded" .root }}
  - { name: data, mountPath: /var/lib/plugrank }
  {{- else if $values.redis.ca.existingSecret }}
  - { name: redis-ca, mountPath: /etc/plugrank-redis, readOnly: true }
  {{- end }}
{{- end -}}

{{- define "plugrank.env" -}}
{{- $redis := .root.Values.redis -}}
{{- if not (include "plugrank.embedded" .root) -}}
{{- if $redis.bundled.enabled -}}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef: { name: {{ include "plugrank.redisPasswordSecret" .root }}, key: password }
- name: PLUGRANK__STORE__REDIS__URL
  value: redis://:$(REDIS_PASSWORD)@{{ include "plugrank.roleName" (dict "root" .root "role" "redis") }}:6379/0
{{- else if or $redis.existingSecret $redis.url -}}
- name: PLUGRANK__STORE__REDIS__URL
  valueFrom:
    secretKeyRef: { name: {{ include "plugrank.redisUrlSecret" .root }}, key: {{ $redis.secretKey }} }
{{- end }}
{{- with $redis.auth }}
{{- if .existingSecret }}
- name: PLUGRANK__STORE__REDIS__PASSWORD
  valueFrom:
    secretKeyRef: { name: {{ .existingSecret }}, key: {{ .secretKey }} }
{{- end }}
{{- end }}
{{- end }}
{{- if include "plugrank.cuda" . }}
# The driver keeps compiled kernels; the default place is in a home folder that cannot be written.
- name: CUDA_CACHE_PATH
  value: /tmp/cuda-cache
{{- end }}
{{- end -}}

{{/* Copies a folder out of an image into the volume of the same name. */}}
{{- define "plugrank.copyContainer" -}}
- name: {{ .name }}
  image: {{ include "plugrank.imageRef" .of.image }}
  imagePullPolicy: {{ .of.image.pullPolicy }}
  command: [cp, -R, {{ clean .of.sourcePath }}/., /copy/]
  securityContext:
    {{- toYaml .root.Values.containerSecurityContext | nindent 4 }}
  resources:
    requests: { cpu: 50m, memory: 64Mi }
    limits: { memory: 256Mi }
  volumeMounts:
    - { name: {{ .name }}, mountPath: /copy }
{{- end -}}

{{/* `plugrank load`, with the settings of ROLE. */}}
{{- define "plugrank.loadContainer" -}}
{{- $load := .root.Values.load -}}
- name: load
  {{- include "plugrank.containerCommon" . | nindent 2 }}
  {{- if $load.enabled }}
  {{- /* Continues volumeMounts. */}}
    - { name: dataset, mountPath: /dataset, readOnly: true }
  {{- end }}
  args:
    - load
    - --config
    - /etc/plugrank/plugrank.toml
    - --dataset
    - {{ ternary (clean (printf "/dataset/%s" $load.dataset.path)) (printf "%s/dataset" (include "plugrank.shopFolder" .root)) $load.enabled }}
    {{- with $load.args }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  resources:
    {{- $resources := deepCopy $load.resources }}
    {{- if include "plugrank.cuda" . }}
    {{- $gpu := .root.Values.gpu }}
    {{- $gpus := dict $gpu.resource (int $gpu.count) }}
    {{- $_ := set $resources "limits" (mustMergeOverwrite (deepCopy ($resources.limits | default dict)) $gpus) }}
    {{- end }}
    {{- toYaml $resources | nindent 4 }}
{{- end -}}

{{- define "plugrank.volumes" -}}
{{- $values := .root.Values -}}
- name: config
  configMap: { name: {{ include "plugrank.roleName" . }} }
- name: tmp
  emptyDir: { sizeLimit: 1Gi }
{{- $role := include "plugrank.role" . | fromJson }}
{{- with $role.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- if eq $values.access.auth "keys" }}
- name: access
  projected:
    defaultMode: 0440
    sources:
      {{- include "plugrank.accessSource" (dict "root" .root "of" $values.access.keys "path" "keys.toml") | nindent 6 }}
      {{- if eq $values.topology "split" }}
      {{- include "plugrank.accessSource" (dict "root" .root "of" $values.access.roleToken "path" "token") | nindent 6 }}
      {{- end }}
{{- end }}
{{- range $name, $secret := include "plugrank.tlsSecrets" . | fromJson }}
- name: {{ $name }}
  secret: { secretName: {{ $secret }}, defaultMode: 0440 }
{{- end }}
{{- if and (include "plugrank.needsBundle" .role) (not (include "plugrank.shop" .root)) }}
{{ include "plugrank.sourceVolume" (dict "name" "bundle" "of" $values.bundle) }}
{{- end }}
{{- if .load }}
{{ include "plugrank.sourceVolume" (dict "name" "dataset" "of" $values.load.dataset) }}
{{- end }}
{{- if and (not (include "plugrank.embedded" .root)) $values.redis.ca.existingSecret }}
- name: redis-ca
  secret: { secretName: {{ $values.redis.ca.existingSecret }} }
{{- end }}
{{- if include "plugrank.snapshots" . }}
- name: snapshots
  {{- with $values.snapshots.existingClaim }}
  persistentVolumeClaim: { claimName: {{ . }} }
  {{- else }}
  emptyDir: { sizeLimit: {{ $values.snapshots.sizeLimit }} }
  {{- end }}
{{- end }}
{{- if and (include "plugrank.embedded" .root) $values.store.persistence.existingClaim }}
- name: data
  persistentVolumeClaim: { claimName: {{ $values.store.persistence.existingClaim }} }
{{- end }}
{{- end -}}

{{/* Volumes with the certificates that a role shows, each with its Secret, as JSON. */}}
{{- define "plugrank.tlsSecrets" -}}
{{- $secrets := dict -}}
{{- if and (has .role (list "all" "gateway")) .root.Values.tls.existingSecret -}}
{{- $_ := set $secrets "tls" .root.Values.tls.existingSecret -}}
{{- end -}}
{{- if include "plugrank.mutualTls" .root -}}
{{- $_ := set $secrets "role-tls" .root.Values.tls.roles.existingSecret -}}
{{- end -}}
{{- toJson $secrets -}}
{{- end -}}

{{/* One file of the volume with what callers are asked for. */}}
{{- define "plugrank.accessSource" -}}
- secret:
    name: {{ .of.existingSecret | default (include "plugrank.accessSecret" .root) }}
    items: [{ key: {{ ternary .of.secretKey .path (ne .of.existingSecret "") }}, path: {{ .path }} }]
{{- end -}}

{{/* A volume that is there already, or room for a copy. */}}
{{- define "plugrank.sourceVolume" -}}
- name: {{ .name }}
{{- if .of.existingClaim }}
  persistentVolumeClaim: { claimName: {{ .of.existingClaim }}, readOnly: true }
{{- else }}
  emptyDir: { sizeLimit: {{ .of.sizeLimit }} }
{{- end }}
{{- end -}}

{{- define "plugrank.terminationSeconds" -}}
{{- $server := .settings.server -}}
{{- $drain := divf (dig "drain_delay_ms" 0 $server) 1000 | ceil | int -}}
{{- $grace := divf (dig "grace_ms" 10000 $server) 1000 | ceil | int -}}
{{- add .values.drain.preStopSleepSeconds $drain $grace .values.drain.marginSeconds -}}
{{- end -}}
