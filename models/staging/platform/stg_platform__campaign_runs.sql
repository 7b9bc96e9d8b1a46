{%- set fields = [
    'namespace', 'campaign_run_id', 'campaign_id', 'campaign_run_time', 'campaign_name', 'campaign_classification',
    'subject_line', 'audience_id', 'tracking_parameters', 'journey_id', 'updated_at'
] -%}

with campaign_runs as (

    select * from {{ ref('base_platform__campaign_runs') }}

),

parsed as (

    {{ json_documents('campaign_runs', 'payload', fields) | indent(4) }}

),

typed as (

    select
        {{ name_said('namespace') }} as namespace,
        {{ name_said('campaign_run_id') }} as campaign_run_id,
        {{ try_bigint(json_field('document', 'campaign_id')) }} as campaign_id,
        {{ try_timestamp(json_field('document', 'campaign_run_time')) }} as campaign_run_time,
        {{ not_blank(json_field('document', 'campaign_name')) }} as campaign_name,
        {{ not_blank(json_field('document', 'campaign_classification')) }} as campaign_classification,
        {{ not_blank(json_field('document', 'subject_line')) }} as subject_line,
        {{ piped(json_field('document', 'audience_id')) }} as audience_id,
        {{ json_field('document', 'tracking_parameters') }} as tracking_parameters,
        {{ name_said('journey_id') }} as journey_id,
        {{ try_timestamp(json_field('document', 'updated_at')) }} as updated_at,
        loaded_at,
        file_name,
        line_number
    from parsed
    where fault is null

),

judged as (

    select
        *,
        campaign_id is not null and campaign_run_time is not null and campaign_name is not null
        and campaign_classification is not null and subject_line is not null as is_complete
    from typed

),

ranked as (

    select
        *,
        row_number() over (
            partition by namespace, campaign_run_id
            order by is_complete desc, updated_at, file_name, line_number
        ) as version,
        -- It may be named later than all else: events wait for it.
        first_value(audience_id) over (
            partition by namespace, campaign_run_id
            order by
                case when audience_id is null then 1 else 0 end,
                is_complete desc, updated_at, file_name, line_number
        ) as first_audience_id
    from judged

),

final as (

    select
        namespace,
        campaign_run_id,
        campaign_id,
        campaign_run_time,
        campaign_name,
        campaign_classification,
        subject_line,
        first_audience_id as audience_id,
        tracking_parameters,
        journey_id,
        is_complete,
        updated_at,
        loaded_at
    from ranked
    where version = 1

)

select
    *,
    {{ surrogate_key([
        'campaign_id', 'campaign_run_time', 'campaign_name', 'campaign_classification', 'subject_line', 'audience_id',
        'tracking_parameters', 'journey_id', 'is_complete'
    ]) }} as run_version
from final
