{# What the loaders leave, apart from SendGrid's events: one folder or table an entity, by system. #}

{% macro entities() -%}
    {{ return({
        'platform': [
            'namespaces', 'campaigns', 'campaign_runs', 'audiences', 'journeys', 'halts', 'unsubscribes', 'customers',
            'entitlements'
        ],
        'commerce': ['products', 'orders', 'sessions'],
        'data_science': ['scores']
    }) }}
{%- endmacro %}


{# What a record of the platform must say to be one; a line that does not is a rejected record. #}
{% macro needed_fields() -%}
    {{ return({
        'namespaces': ['namespace', 'updated_at'],
        'campaigns': ['namespace', 'campaign_id', 'updated_at'],
        'campaign_runs': ['namespace', 'campaign_run_id', 'updated_at'],
        'audiences': ['namespace', 'audience_id', 'updated_at'],
        'journeys': ['namespace', 'journey_id', 'updated_at'],
        'customers': ['updated_at'],
        'entitlements': ['namespace', 'entitlement'],
        'halts': ['received_at'],
        'unsubscribes': ['received_at']
    }) }}
{%- endmacro %}


{# Why a line of the platform is no record, NULL if it is one; its document has the fields that any entity needs. #}
{% macro record_fault(document) -%}
    {%- set read = {
        'updated_at': try_timestamp(json_field(document, 'updated_at')),
        'received_at': 'received_at',
        'campaign_id': try_bigint(json_field(document, 'campaign_id'))
    } -%}
    case
        {%- for entity, fields in needed_fields().items() %}
        {%- for field in fields %}
        when entity = '{{ entity }}' and {{ read.get(field, "nullif(trim(" ~ json_field(document, field) ~ "), '')") }} is null
            then '{{ field }} is {{ "no time" if field.endswith("_at") else "missing" }}'
        {%- endfor %}
        {%- endfor %}
    end
{%- endmacro %}


{#
    One row per line of a system's entities, of new and changed files only: entity, payload, fault, file_name,
    line_number, landed_at.
#}
{% macro entity_rows(system) -%}
    with files as (

        select * from {{ ref('base_landing__files') }}

    ),

    {% for entity in entities()[system] %}
    {{ entity }} as (

        {{ landed_rows(source(system, entity), new_files(system ~ '/' ~ entity), landing_dir()) | indent(8) }}

    ),

    {% endfor %}
    landed as (
        {% for entity in entities()[system] %}
        select
            '{{ entity }}' as entity,
            *
        from {{ entity }}
        {% if not loop.last %}union all{% endif %}
        {% endfor %}
    )

    select
        landed.entity,
        landed.payload,
        landed.fault,
        landed.file_name,
        landed.line_number,
        coalesce(landed.landed_at, files.modified_at) as landed_at
    from landed
    left join files on landed.file_name = files.file_name
{%- endmacro %}
