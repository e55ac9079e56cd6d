"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('audit',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('actor', sa.Text(), nullable=False),
    sa.Column('action', sa.String(), nullable=False),
    sa.Column('subject', sa.String(), nullable=False),
    sa.Column('facts', sa.JSON(), nullable=False),
    sa.Column('previous', sa.String(), nullable=True),
    sa.Column('hash', sa.String(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit'))
    )
    with op.batch_alter_table('audit', schema=None) as batch_op:
        batch_op.create_index('ix_audit_subject', ['subject'], unique=False)

    op.create_table('beats',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_beats')),
    sa.UniqueConstraint('key', name=op.f('uq_beats_key'))
    )
    op.create_table('installation',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('identity', sa.String(), nullable=False),
    sa.Column('starts', sa.Integer(), nullable=False),
    sa.Column('confirmed_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('id = 1', name=op.f('ck_installation_one_row')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_installation'))
    )
    op.create_table('lists',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_lists')),
    sa.UniqueConstraint('key', name=op.f('uq_lists_key'))
    )
    op.create_table('outlets',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_outlets')),
    sa.UniqueConstraint('key', name=op.f('uq_outlets_key'))
    )
    op.create_table('releases',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_releases'))
    )
    op.create_table('suppressions',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('address', sa.Text(), nullable=False),
    sa.Column('address_key', sa.Text(), nullable=False),
    sa.Column('reason', sa.String(), nullable=False),
    sa.Column('evidence', sa.Text(), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('lifted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('lifted_by', sa.Text(), nullable=True),
    sa.CheckConstraint("reason IN ('bounced', 'complaint', 'objection', 'person', 'refused')", name=op.f('ck_suppressions_reason')),
    sa.CheckConstraint('(lifted_at IS NOT NULL AND lifted_by IS NOT NULL) OR (lifted_at IS NULL AND lifted_by IS NULL)', name=op.f('ck_suppressions_lifting_whole')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_suppressions'))
    )
    with op.batch_alter_table('suppressions', schema=None) as batch_op:
        batch_op.create_index('uq_suppressions_standing', ['address_key'], unique=True, sqlite_where=sa.text('lifted_at IS NULL'), postgresql_where=sa.text('lifted_at IS NULL'))

    op.create_table('workers',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('host', sa.String(), nullable=False),
    sa.Column('boot', sa.String(), nullable=False),
    sa.Column('pid', sa.Integer(), nullable=False),
    sa.Column('flight_log', sa.Text(), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_workers'))
    )
    op.create_table('contacts',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('address', sa.Text(), nullable=False),
    sa.Column('address_key', sa.Text(), nullable=False),
    sa.Column('wire_address', sa.Text(), nullable=True),
    sa.Column('name', sa.Text(), server_default='', nullable=False),
    sa.Column('given_name', sa.Text(), server_default='', nullable=False),
    sa.Column('family_name', sa.Text(), server_default='', nullable=False),
    sa.Column('role', sa.Text(), server_default='', nullable=False),
    sa.Column('phone', sa.Text(), server_default='', nullable=False),
    sa.Column('language', sa.String(), server_default='', nullable=False),
    sa.Column('zone', sa.String(), server_default='', nullable=False),
    sa.Column('note', sa.Text(), server_default='', nullable=False),
    sa.Column('outlet_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('terms_accepted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['outlet_id'], ['outlets.id'], name=op.f('fk_contacts_outlet_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_contacts')),
    sa.UniqueConstraint('address_key', name=op.f('uq_contacts_address_key'))
    )
    with op.batch_alter_table('contacts', schema=None) as batch_op:
        batch_op.create_index('ix_contacts_outlet_id', ['outlet_id'], unique=False)

    op.create_table('versions',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('release_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('headline', sa.Text(), nullable=False),
    sa.Column('text', sa.JSON(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('language', sa.String(), nullable=False),
    sa.Column('sender_name', sa.Text(), nullable=False),
    sa.Column('sender_address', sa.Text(), nullable=False),
    sa.Column('sender_organisation', sa.Text(), nullable=False),
    sa.Column('reply_to', sa.Text(), nullable=True),
    sa.Column('embargo_state', sa.String(), nullable=False),
    sa.Column('embargo_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('embargo_wall', sa.DateTime(), nullable=True),
    sa.Column('embargo_zone', sa.String(), nullable=True),
    sa.Column('embargo_fold', sa.Integer(), nullable=True),
    sa.Column('embargo_text', sa.Text(), nullable=True),
    sa.Column('embargo_doubts', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('approved_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('approved_by', sa.Text(), nullable=True),
    sa.Column('seal', sa.String(), nullable=True),
    sa.CheckConstraint("(embargo_state = 'embargoed') = (embargo_at IS NOT NULL)", name=op.f('ck_versions_embargo_at')),
    sa.CheckConstraint("embargo_state IN ('embargoed', 'immediate', 'none', 'unclear')", name=op.f('ck_versions_embargo_state')),
    sa.CheckConstraint("state <> 'approved' OR embargo_state <> 'unclear'", name=op.f('ck_versions_approved_embargo_is_clear')),
    sa.CheckConstraint("state <> 'approved' OR seal IS NOT NULL", name=op.f('ck_versions_approved_is_sealed')),
    sa.CheckConstraint("state IN ('approved', 'draft', 'superseded')", name=op.f('ck_versions_state')),
    sa.CheckConstraint('(approved_at IS NOT NULL AND approved_by IS NOT NULL AND seal IS NOT NULL) OR (approved_at IS NULL AND approved_by IS NULL AND seal IS NULL)', name=op.f('ck_versions_approval_whole')),
    sa.CheckConstraint('(embargo_at IS NOT NULL AND embargo_wall IS NOT NULL AND embargo_zone IS NOT NULL AND embargo_fold IS NOT NULL) OR (embargo_at IS NULL AND embargo_wall IS NULL AND embargo_zone IS NULL AND embargo_fold IS NULL)', name=op.f('ck_versions_embargo_whole')),
    sa.CheckConstraint('embargo_fold IN (0, 1)', name=op.f('ck_versions_embargo_fold')),
    sa.ForeignKeyConstraint(['release_id'], ['releases.id'], name=op.f('fk_versions_release_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_versions')),
    sa.UniqueConstraint('release_id', 'number', name=op.f('uq_versions_release_id_number'))
    )
    with op.batch_alter_table('versions', schema=None) as batch_op:
        batch_op.create_index('uq_versions_one_approved', ['release_id'], unique=True, sqlite_where=sa.text("state = 'approved'"), postgresql_where=sa.text("state = 'approved'"))
        batch_op.create_index('uq_versions_one_draft', ['release_id'], unique=True, sqlite_where=sa.text("state = 'draft'"), postgresql_where=sa.text("state = 'draft'"))

    op.create_table('compiled_messages',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('version_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('template', sa.String(), nullable=False),
    sa.Column('language', sa.String(), nullable=False),
    sa.Column('content', sa.Text(), nullable=False),
    sa.Column('digest', sa.String(), nullable=False),
    sa.ForeignKeyConstraint(['version_id'], ['versions.id'], name=op.f('fk_compiled_messages_version_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_compiled_messages')),
    sa.UniqueConstraint('version_id', 'template', 'language', name=op.f('uq_compiled_messages_version_id_template_language'))
    )
    op.create_table('contact_beats',
    sa.Column('contact_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('beat_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.ForeignKeyConstraint(['beat_id'], ['beats.id'], name=op.f('fk_contact_beats_beat_id')),
    sa.ForeignKeyConstraint(['contact_id'], ['contacts.id'], name=op.f('fk_contact_beats_contact_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('contact_id', 'beat_id', name=op.f('pk_contact_beats'))
    )
    op.create_table('list_members',
    sa.Column('list_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('contact_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('added_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['contact_id'], ['contacts.id'], name=op.f('fk_list_members_contact_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['list_id'], ['lists.id'], name=op.f('fk_list_members_list_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('list_id', 'contact_id', name=op.f('pk_list_members'))
    )
    with op.batch_alter_table('list_members', schema=None) as batch_op:
        batch_op.create_index('ix_list_members_contact_id', ['contact_id'], unique=False)

    op.create_table('waves',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('release_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('version_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('reason', sa.String(), nullable=True),
    sa.Column('resume_to', sa.String(), nullable=True),
    sa.Column('held_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('waived', sa.JSON(), nullable=False),
    sa.Column('send_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('audience', sa.JSON(), nullable=False),
    sa.Column('prepared_by', sa.String(), nullable=True),
    sa.Column('recipients', sa.Integer(), nullable=True),
    sa.Column('exclusions', sa.Integer(), nullable=True),
    sa.Column('audience_hash', sa.String(), nullable=True),
    sa.Column('sealed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('first_mail_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.CheckConstraint("(state = 'finished') = (finished_at IS NOT NULL)", name=op.f('ck_waves_finished_at')),
    sa.CheckConstraint("(state = 'held') = (resume_to IS NOT NULL) AND (state = 'held') = (held_at IS NOT NULL)", name=op.f('ck_waves_held_knows_way_back')),
    sa.CheckConstraint("kind IN ('advance', 'correction', 'follow-up', 'general', 'resend', 'withdrawal')", name=op.f('ck_waves_kind')),
    sa.CheckConstraint("state <> 'held' OR reason IS NOT NULL", name=op.f('ck_waves_held_has_reason')),
    sa.CheckConstraint("state IN ('cancelled', 'finished', 'held', 'planned', 'preparing', 'ready', 'sending', 'stopping')", name=op.f('ck_waves_state')),
    sa.CheckConstraint("state NOT IN ('ready', 'sending', 'finished') OR sealed_at IS NOT NULL", name=op.f('ck_waves_sends_sealed_only')),
    sa.CheckConstraint('(recipients IS NOT NULL AND exclusions IS NOT NULL AND audience_hash IS NOT NULL AND sealed_at IS NOT NULL) OR (recipients IS NULL AND exclusions IS NULL AND audience_hash IS NULL AND sealed_at IS NULL)', name=op.f('ck_waves_seal_whole')),
    sa.ForeignKeyConstraint(['release_id'], ['releases.id'], name=op.f('fk_waves_release_id')),
    sa.ForeignKeyConstraint(['version_id'], ['versions.id'], name=op.f('fk_waves_version_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_waves'))
    )
    with op.batch_alter_table('waves', schema=None) as batch_op:
        batch_op.create_index('ix_waves_state_send_at', ['state', 'send_at'], unique=False)
        batch_op.create_index('uq_waves_one_general', ['version_id'], unique=True, sqlite_where=sa.text("kind = 'general' AND state <> 'cancelled'"), postgresql_where=sa.text("kind = 'general' AND state <> 'cancelled'"))

    op.create_table('batches',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('wave_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('owner', sa.String(), nullable=True),
    sa.Column('token', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("(state = 'claimed') = (owner IS NOT NULL AND token IS NOT NULL AND lease_until IS NOT NULL)", name=op.f('ck_batches_claimed_is_owned')),
    sa.CheckConstraint("state IN ('cancelled', 'claimed', 'done', 'ready')", name=op.f('ck_batches_state')),
    sa.ForeignKeyConstraint(['owner'], ['workers.id'], name=op.f('fk_batches_owner')),
    sa.ForeignKeyConstraint(['wave_id'], ['waves.id'], name=op.f('fk_batches_wave_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_batches'))
    )
    with op.batch_alter_table('batches', schema=None) as batch_op:
        batch_op.create_index('ix_batches_state_due_at', ['state', 'due_at'], unique=False)
        batch_op.create_index('ix_batches_wave_id', ['wave_id'], unique=False)

    op.create_table('exclusions',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('wave_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('contact_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('address', sa.Text(), nullable=False),
    sa.Column('reason', sa.String(), nullable=False),
    sa.Column('evidence', sa.Text(), server_default='', nullable=False),
    sa.ForeignKeyConstraint(['contact_id'], ['contacts.id'], name=op.f('fk_exclusions_contact_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['wave_id'], ['waves.id'], name=op.f('fk_exclusions_wave_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_exclusions')),
    sa.UniqueConstraint('wave_id', 'contact_id', name=op.f('uq_exclusions_wave_id_contact_id'))
    )
    op.create_table('deliveries',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('wave_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('version_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('batch_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('compiled_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('contact_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('reference', sa.String(), nullable=False),
    sa.Column('address', sa.Text(), nullable=False),
    sa.Column('address_key', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), server_default='', nullable=False),
    sa.Column('given_name', sa.Text(), server_default='', nullable=False),
    sa.Column('outlet', sa.Text(), server_default='', nullable=False),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('token', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('crashes', sa.Integer(), server_default='0', nullable=False),
    sa.Column('dated_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('code', sa.Integer(), nullable=True),
    sa.Column('enhanced', sa.String(), nullable=True),
    sa.Column('reply', sa.Text(), nullable=True),
    sa.Column('relay', sa.String(), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("(state = 'deferred') = (due_at IS NOT NULL)", name=op.f('ck_deliveries_deferred_is_due')),
    sa.CheckConstraint("(state = 'sending') = (token IS NOT NULL)", name=op.f('ck_deliveries_sending_has_token')),
    sa.CheckConstraint("state <> 'sending' OR dated_at IS NOT NULL", name=op.f('ck_deliveries_sending_is_dated')),
    sa.CheckConstraint("state IN ('abandoned', 'accepted', 'bounced', 'cancelled', 'complained', 'deferred', 'expired', 'quarantined', 'queued', 'refused', 'sending', 'suppressed', 'uncertain')", name=op.f('ck_deliveries_state')),
    sa.ForeignKeyConstraint(['batch_id'], ['batches.id'], name=op.f('fk_deliveries_batch_id')),
    sa.ForeignKeyConstraint(['compiled_id'], ['compiled_messages.id'], name=op.f('fk_deliveries_compiled_id')),
    sa.ForeignKeyConstraint(['contact_id'], ['contacts.id'], name=op.f('fk_deliveries_contact_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['version_id'], ['versions.id'], name=op.f('fk_deliveries_version_id')),
    sa.ForeignKeyConstraint(['wave_id'], ['waves.id'], name=op.f('fk_deliveries_wave_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_deliveries')),
    sa.UniqueConstraint('reference', name=op.f('uq_deliveries_reference'))
    )
    with op.batch_alter_table('deliveries', schema=None) as batch_op:
        batch_op.create_index('ix_deliveries_batch_id', ['batch_id'], unique=False)
        batch_op.create_index('ix_deliveries_wave_id_state', ['wave_id', 'state'], unique=False)
        batch_op.create_index('uq_deliveries_one_live', ['version_id', 'address_key'], unique=True, sqlite_where=sa.text("state IN ('accepted', 'deferred', 'queued', 'sending', 'uncertain')"), postgresql_where=sa.text("state IN ('accepted', 'deferred', 'queued', 'sending', 'uncertain')"))

    op.create_table('attempts',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('delivery_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('worker_id', sa.String(), nullable=False),
    sa.Column('token', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('outcome', sa.String(), nullable=False),
    sa.Column('phase', sa.String(), nullable=False),
    sa.Column('code', sa.Integer(), nullable=True),
    sa.Column('enhanced', sa.String(), nullable=True),
    sa.Column('reply', sa.Text(), nullable=True),
    sa.Column('relay', sa.String(), nullable=True),
    sa.Column('late', sa.Boolean(), nullable=False),
    sa.CheckConstraint("outcome IN ('accepted', 'deferred', 'not sent', 'refused', 'uncertain')", name=op.f('ck_attempts_outcome')),
    sa.ForeignKeyConstraint(['delivery_id'], ['deliveries.id'], name=op.f('fk_attempts_delivery_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_attempts'))
    )
    with op.batch_alter_table('attempts', schema=None) as batch_op:
        batch_op.create_index('ix_attempts_delivery_id', ['delivery_id'], unique=False)



def downgrade() -> None:
    with op.batch_alter_table('attempts', schema=None) as batch_op:
        batch_op.drop_index('ix_attempts_delivery_id')

    op.drop_table('attempts')
    with op.batch_alter_table('deliveries', schema=None) as batch_op:
        batch_op.drop_index('uq_deliveries_one_live', sqlite_where=sa.text("state IN ('accepted', 'deferred', 'queued', 'sending', 'uncertain')"), postgresql_where=sa.text("state IN ('accepted', 'deferred', 'queued', 'sending', 'uncertain')"))
        batch_op.drop_index('ix_deliveries_wave_id_state')
        batch_op.drop_index('ix_deliveries_batch_id')

    op.drop_table('deliveries')
    op.drop_table('exclusions')
    with op.batch_alter_table('batches', schema=None) as batch_op:
        batch_op.drop_index('ix_batches_wave_id')
        batch_op.drop_index('ix_batches_state_due_at')

    op.drop_table('batches')
    with op.batch_alter_table('waves', schema=None) as batch_op:
        batch_op.drop_index('uq_waves_one_general', sqlite_where=sa.text("kind = 'general' AND state <> 'cancelled'"), postgresql_where=sa.text("kind = 'general' AND state <> 'cancelled'"))
        batch_op.drop_index('ix_waves_state_send_at')

    op.drop_table('waves')
    with op.batch_alter_table('list_members', schema=None) as batch_op:
        batch_op.drop_index('ix_list_members_contact_id')

    op.drop_table('list_members')
    op.drop_table('contact_beats')
    op.drop_table('compiled_messages')
    with op.batch_alter_table('versions', schema=None) as batch_op:
        batch_op.drop_index('uq_versions_one_draft', sqlite_where=sa.text("state = 'draft'"), postgresql_where=sa.text("state = 'draft'"))
        batch_op.drop_index('uq_versions_one_approved', sqlite_where=sa.text("state = 'approved'"), postgresql_where=sa.text("state = 'approved'"))

    op.drop_table('versions')
    with op.batch_alter_table('contacts', schema=None) as batch_op:
        batch_op.drop_index('ix_contacts_outlet_id')

    op.drop_table('contacts')
    op.drop_table('workers')
    with op.batch_alter_table('suppressions', schema=None) as batch_op:
        batch_op.drop_index('uq_suppressions_standing', sqlite_where=sa.text('lifted_at IS NULL'), postgresql_where=sa.text('lifted_at IS NULL'))

    op.drop_table('suppressions')
    op.drop_table('releases')
    op.drop_table('outlets')
    op.drop_table('lists')
    op.drop_table('installation')
    op.drop_table('beats')
    with op.batch_alter_table('audit', schema=None) as batch_op:
        batch_op.drop_index('ix_audit_subject')

    op.drop_table('audit')
